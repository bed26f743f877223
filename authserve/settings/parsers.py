"""Parsers of single settings; `config.py` assigns one to each variable.

A parser takes a variable's text and returns its value, or raises `ValidationError` with the rule
for the value. No message repeats the text, because any variable may hold a secret by mistake. The
parsers of URLs are in `urls.py` and `database_url.py`, those of secrets in `secrets.py`.
"""

import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeVar

from marshmallow import ValidationError

from authserve.core.identifiers import InvalidIdentifierError, canonical_email
from authserve.settings.model import FEATURE_NAMES, FEATURE_NEEDS

T = TypeVar("T")
Parser = Callable[[str], T]

_DIGITS = re.compile(r"[0-9]{1,12}")
"""ASCII digits only: `int()` would also accept `+5`, `1_000`, spaces, and other scripts' digits."""


def split_list(raw: str) -> list[str]:
    """Return the parts of a list, which commas or spaces separate."""
    return [part for part in re.split(r"[, ]+", raw) if part]


def parse_text(raw: str) -> str:
    """Return a text of one line; control characters could forge a header or a log line."""
    if not raw.strip():
        raise ValidationError("is set but empty; give it a value, or remove it for the default")
    if not raw.isprintable():
        raise ValidationError("must be on one line, in UTF-8 and without control characters")
    return raw


def parse_optional_line(raw: str) -> str:
    """Return a text of one line; empty text means none."""
    if not raw.isprintable():
        raise ValidationError("must be on one line, in UTF-8 and without control characters")
    return raw


MAX_BRAND_LENGTH = 40
"""In code points: fits into the bar of a phone's page, and into a mail's subject line beside the
other words (design)."""


def parse_brand(raw: str) -> str:
    """Return the service's name for people, on one line; empty text means the host."""
    if not raw:
        return ""
    if len(parse_text(raw)) > MAX_BRAND_LENGTH:
        raise ValidationError(f"must be at most {MAX_BRAND_LENGTH} characters long, not {len(raw)}")
    return raw.strip()


def whole(low: int, high: int, *, of: str = "") -> Parser[int]:
    """Return a parser of an integer from `low` to `high`, both included; `of` names the unit."""

    def parse(raw: str) -> int:
        if not _DIGITS.fullmatch(raw) or not low <= int(raw) <= high:
            raise ValidationError(f"must be a whole number{of and ' of '}{of} from {low} to {high}")
        return int(raw)

    return parse


def seconds(low: int, high: int) -> Parser[timedelta]:
    """Return a parser of a duration in whole seconds from `low` to `high`, both included."""
    parse_number = whole(low, high, of="seconds")
    return lambda raw: timedelta(seconds=parse_number(raw))


def days(low: int, high: int) -> Parser[timedelta]:
    """Return a parser of a duration in whole days, `400 days` or `400`, both bounds included."""
    parse_number = whole(low, high, of="days")
    return lambda raw: timedelta(days=parse_number(_DAYS_UNIT.sub("", raw)))


_DAYS_UNIT = re.compile(r"(?<=[0-9]) days?\Z")


def choice(options: Iterable[T]) -> Parser[T]:
    """Return a parser that accepts the text of one of `options`, in any letter case."""
    by_name = {str(option).lower(): option for option in options}

    def parse(raw: str) -> T:
        if raw.lower() not in by_name:
            names = ", ".join(str(option) for option in by_name.values())
            raise ValidationError(f"must be one of: {names}")
        return by_name[raw.lower()]

    return parse


_SWITCH = choice(("true", "false"))


def parse_addresses(raw: str) -> tuple[str, ...]:
    """Parse IP addresses separated by commas or spaces, IPv6 ones with or without brackets."""
    parts = split_list(raw)
    try:
        found = tuple(str(ip_address(re.sub(r"\A\[(.+)\]\Z", r"\1", part))) for part in parts)
    except ValueError:
        found = ()
    if not found:
        raise ValidationError("must list IP addresses to listen on: 0.0.0.0, ::, or 127.0.0.1 ::1")
    return found


def parse_switch(raw: str) -> bool:
    """Parse `true` or `false`, in any letter case."""
    return _SWITCH(raw) == "true"


_ON_OFF = choice(("on", "off"))


def parse_on_off(raw: str) -> bool:
    """Parse `on` or `off`, in any letter case."""
    return _ON_OFF(raw) == "on"


def parse_features(raw: str) -> tuple[str, ...]:
    """Parse names of `FEATURE_NAMES`, separated by commas or spaces, or the word `none`."""
    names = tuple(split_list(raw))
    if names == ("none",):
        return ()
    if not names or not set(names) <= set(FEATURE_NAMES):
        known = ", ".join(FEATURE_NAMES) or "this release has no optional feature"
        raise ValidationError(f"must be none, or names of features ({known})")
    for name, needed in FEATURE_NEEDS.items():
        if name in names and needed not in names:
            raise ValidationError(f"{name} needs {needed}, so name both")
    return names


_KEY_PREFIX = re.compile(r"[a-z][a-z0-9_]{0,14}_")

_TAKEN_PREFIX = "as_cs_"
"""The prefix of clients' secrets, which scanners of source code tell apart from keys."""


def parse_key_prefix(raw: str) -> str:
    """Return the prefix of API keys, which no JWT begins with: those begin with `eyJ`."""
    if not _KEY_PREFIX.fullmatch(raw) or raw.startswith(_TAKEN_PREFIX):
        raise ValidationError(
            "must be 2 to 16 small letters, digits and underscores, beginning with a letter and "
            "ending in an underscore, such as ask_; as_cs_ is taken"
        )
    return raw


def parse_domains(raw: str) -> tuple[str, ...]:
    """Parse domains separated by commas or spaces into IDNA's ASCII; empty text means all.

    A domain is no pattern and does not include its subdomains.
    """
    return tuple(map(_parse_domain, split_list(raw)))


def _parse_domain(raw: str) -> str:
    try:
        return canonical_email(f"user@{raw}").rpartition("@")[2]
    except InvalidIdentifierError:
        raise ValidationError("must list domains as written after the @ of addresses") from None


def folder(base: Path) -> Parser[Path | None]:
    """Return a parser of an existing folder, relative to `base`; empty text means none."""

    def parse(raw: str) -> Path | None:
        if not raw:
            return None
        path = base / parse_text(raw)
        if not path.is_dir():
            raise ValidationError("must name a folder that exists")
        return path

    return parse


_ADDRESS = r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-z0-9-]+(?:\.[a-z0-9-]+)*"
"""A mail address as browsers accept it (WHATWG HTML, `input type=email`): ASCII, no quoting."""

_MAILBOX = re.compile(
    rf'{_ADDRESS}|(?:"[^"\\]*" *|[^"\\<>@,;:()\[\]]*)<{_ADDRESS}>', re.IGNORECASE | re.ASCII
)


def parse_mailbox(raw: str) -> str:
    """Parse one mail address, with or without a name: `authserve <no-reply@example.com>`.

    Hosts such as `localhost` and those in `.local` are accepted, because an intranet's mail server
    may deliver to them.
    """
    if not _MAILBOX.fullmatch(parse_text(raw)):
        raise ValidationError("must be one mail address in ASCII: user@host or Name <user@host>")
    return raw


_LOCAL_MAILBOX = re.compile(
    r"@(?:.+\.)?(?:localhost|localdomain|127\.[0-9.]+)>?", re.IGNORECASE | re.ASCII
)


def is_local_mailbox(mailbox: str) -> bool:
    """Return True if a mail address belongs to the local machine, so that no reply can arrive.

    Args:
        mailbox: a text that `parse_mailbox` accepted, or empty text.
    """
    return _LOCAL_MAILBOX.fullmatch(mailbox[mailbox.rfind("@") :]) is not None


_HELO = re.compile(
    r"(?=.{1,255}\Z)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62}))*"
    r"|\[([0-9.]{7,15}|IPv6:[0-9a-f:.]{2,45})\]",
    re.IGNORECASE | re.ASCII,
)
"""A host name, or an address literal (RFC 5321 §4.1.2, §4.1.3)."""


def parse_helo(raw: str) -> str:
    """Parse EHLO's name: an ASCII host name or an address in brackets; empty text means none."""
    if raw and not _HELO.fullmatch(raw):
        raise ValidationError("must be a host name in ASCII, or an address such as [192.0.2.1]")
    return raw
