"""Addresses and usernames: one stored form each, computed here and nowhere else.

Databases disagree on lower case (PostgreSQL by locale, SQLite by ASCII alone), so the form is made
in Python, stored, and compared byte by byte.
"""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

EMAIL_MAX_LENGTH = 254
"""RFC 5321 §4.5.3.1.3 allows a path of 256 octets, of which two are the angle brackets."""

LOCAL_PART_MAX_LENGTH = 64
"""RFC 5321 §4.5.3.1.1, in octets: some servers refuse mail to longer ones, or cut them off."""

USERNAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{1,30}[a-z0-9]$"
_USERNAME = re.compile(USERNAME_PATTERN.strip("^$"))

DISPLAY_NAME_MAX_LENGTH = 100

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Unicode's property Bidi_Control (UAX #9): they can make a name read as another."""

_VISIBLE_KINDS = frozenset("LNPS")
"""First letters of the categories of letters, numbers, punctuation and symbols."""

_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that show nothing: the Hangul fillers, and Braille without dots."""

_DECOMPOSITION_FACTOR = 4
"""No character decomposes into more, so what is longer in any form is too long in NFC."""


class InvalidIdentifierError(ValueError):
    """The text is no address, username or name that the service takes; the message says why."""


def canonical_email(address: str) -> str:
    """The one form of an address that is stored, compared and written to.

    Trimmed, NFC, lower-cased by Unicode's rules, the domain in IDNA's ASCII. Applying it twice
    changes nothing.

    Raises:
        InvalidIdentifierError: no address that mail could reach (no domain, a literal address,
            a quoted local part, too long, ...), or one that is not plain (`is_plain_address`).
    """
    local_part, at, domain = address.strip().partition("@")
    if len(local_part) > _DECOMPOSITION_FACTOR * LOCAL_PART_MAX_LENGTH:
        raise InvalidIdentifierError(_NO_EMAIL)
    try:
        # IDNA has a lower case of its own, which knows no final sigma; so the domain waits for it.
        parsed = validate_email(
            f"{_lower(local_part)}{at}{domain}", check_deliverability=False, test_environment=True
        )
    except (EmailNotValidError, ValueError) as error:
        raise InvalidIdentifierError(_NO_EMAIL) from error
    domain = parsed.ascii_domain or ""
    local_part = _lower(parsed.local_part)
    canonical = f"{local_part}@{domain}"
    is_too_long = (
        len(local_part.encode()) > LOCAL_PART_MAX_LENGTH
        or len(canonical.encode()) > EMAIL_MAX_LENGTH
    )
    # The library lets "test" alone be a domain when it lets names end in ".test".
    if is_too_long or "." not in domain or not is_plain_address(canonical):
        raise InvalidIdentifierError(_NO_EMAIL)
    return canonical


_SPECIALS = frozenset('"(),:;<>@[\\]')
"""Characters that need quoting in a local part (RFC 5322 §3.2.3), but for the dot."""

_ENCODED_WORD_START = "=?"
"""Begins an encoded word (RFC 2047 §2); some programs decode one even inside an address."""

_PLAIN_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def is_plain_address(address: str) -> bool:
    """Return True if an address can stand in headers and envelopes as it is.

    No mail program can read such an address as more than one address: its local part needs no
    quoting, holds no encoded word, no space and nothing invisible. The same holds for its
    compatibility form, since some servers normalise by NFKC.

    Args:
        address: in canonical form, or as an older release stored it.
    """
    local_part, _, domain = address.rpartition("@")
    is_plain = all(
        part and _ENCODED_WORD_START not in part and all(map(_is_plain_character, part))
        for part in (local_part, unicodedata.normalize("NFKC", local_part))
    )
    return is_plain and _PLAIN_DOMAIN.fullmatch(domain) is not None


def _is_plain_character(character: str) -> bool:
    is_visible = unicodedata.category(character)[0] in _VISIBLE_KINDS | {"M"}
    return is_visible and character not in _SPECIALS


_NO_EMAIL = "Not a valid email address."


def _lower(text: str) -> str:
    # Lower-casing can leave a decomposed sequence (U+0130), and composing can leave a capital.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def canonical_domain(domain: str) -> str | None:
    """Return the stored form of an address's domain, or None if no address can have it.

    Args:
        domain: in Unicode or in IDNA's ASCII, in any letter case.
    """
    try:
        return canonical_email(f"x@{domain}").partition("@")[2]
    except InvalidIdentifierError:
        return None


_PUNYCODE = "xn--"
"""Begins a label that stands for Unicode (RFC 5890 §2.3.2.5)."""

_ANY_TLD = ".example"


def email_beginnings(text: str) -> tuple[tuple[str, str], ...]:
    """Return what stored addresses begin with if they begin with a text as people write it.

    The last label of the domain may be unfinished, and nothing unfinished has an ASCII form; but
    the ASCII letters of a label come first in its punycode, in their order (RFC 3492 §3.1).

    Args:
        text: a beginning with an `@` in it, the domain in Unicode or in IDNA's ASCII.

    Returns:
        Pairs: the beginning of the stored form, and the beginning that `unicode_email` of such an
        address must have besides, as the first alone lets others through.
    """
    local_part, _, domain = _lower(text).partition("@")
    finished, dot, unfinished = domain.rpartition(".")
    if finished:
        finished = (canonical_domain(f"{finished}{_ANY_TLD}") or "").removesuffix(_ANY_TLD)
    stored = f"{local_part}@{finished}{dot}"
    shown = unicode_email(stored) + unfinished
    encoded = _PUNYCODE + "".join(letter for letter in unfinished if letter.isascii())
    if not unfinished.isascii():
        return ((stored + encoded, shown),)
    as_it_is = (stored + unfinished, "")
    return (as_it_is, (stored + encoded, shown)) if unfinished else (as_it_is,)


def unicode_email(address: str) -> str:
    """Return an address with the labels of its domain in Unicode."""
    local_part, at, domain = address.partition("@")
    return f"{local_part}{at}{'.'.join(map(_unicode_label, domain.split('.')))}"


def _unicode_label(label: str) -> str:
    if not label.startswith(_PUNYCODE):
        return label
    try:
        return label.removeprefix(_PUNYCODE).encode("ascii").decode("punycode")
    except UnicodeError:
        return label


def canonical_username(username: str) -> str:
    """The stored form of a username: lower case, 3 to 32 of `a-z 0-9 . _ -`.

    Raises:
        InvalidIdentifierError: other characters, another length, or punctuation at an end.
    """
    # isascii() first: the Kelvin sign, for one, would lower-case into an innocent "k".
    lowered = username.lower() if username.isascii() else ""
    if not _USERNAME.fullmatch(lowered):
        raise InvalidIdentifierError(
            "3 to 32 letters, digits, dots, hyphens or underscores, with a letter or digit at "
            "both ends."
        )
    return lowered


def canonical_login_identifier(identifier: str) -> str | None:
    """The stored form of whatever someone signs in with, or None if no account can have it.

    A username holds no `@`, so the two never mix.
    """
    try:
        if "@" in identifier:
            return canonical_email(identifier)
        return canonical_username(identifier.strip())
    except InvalidIdentifierError:
        return None


def clean_display_name(name: str) -> str:
    """A name to show: NFC, trimmed, 1 to 100 code points, nothing invisible that could mislead.

    Raises:
        InvalidIdentifierError: empty, too long, with control or bidirectional characters, or
            with nothing to see.
    """
    stripped = name.strip()
    # Normalising is quadratic, so it never sees more than could compose into a good name.
    if len(stripped) > _DECOMPOSITION_FACTOR * DISPLAY_NAME_MAX_LENGTH:
        raise InvalidIdentifierError("1 to 100 characters.")
    cleaned = unicodedata.normalize("NFC", stripped)
    if not 1 <= len(cleaned) <= DISPLAY_NAME_MAX_LENGTH:
        raise InvalidIdentifierError("1 to 100 characters.")
    if any(unicodedata.category(c) in _HIDDEN_CATEGORIES or c in _BIDI_CONTROLS for c in cleaned):
        raise InvalidIdentifierError("No control characters.")
    if not any(unicodedata.category(c)[0] in _VISIBLE_KINDS and c not in _BLANKS for c in cleaned):
        raise InvalidIdentifierError("At least one character that can be seen.")
    return cleaned


def lower_key(text: str) -> str:
    """Return the form in which the beginning of an address or username is searched."""
    return _lower(text)


def search_key(text: str) -> str:
    """The form in which the beginning of a name is searched: case folded, NFC."""
    return unicodedata.normalize("NFC", text.casefold())
