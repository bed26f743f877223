"""The canonical forms of email addresses, usernames and display names, computed only here.

Databases disagree on lower case (PostgreSQL uses the locale, SQLite ASCII alone). So the form is
computed in Python, stored, and compared byte by byte.
"""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

EMAIL_MAX_LENGTH = 254
"""In octets: RFC 5321 §4.5.3.1.3 allows a path of 256, two of them for the angle brackets."""

LOCAL_PART_MAX_LENGTH = 64
"""In octets (RFC 5321 §4.5.3.1.1): some servers refuse or truncate longer local parts."""

USERNAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{1,30}[a-z0-9]$"
_USERNAME = re.compile(USERNAME_PATTERN)

DISPLAY_NAME_MAX_LENGTH = 100

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Unicode's property Bidi_Control (UAX #9): these can make a name look like another one."""

_VISIBLE_KINDS = frozenset("LNPS")
"""First letters of the categories of letters, numbers, punctuation and symbols."""

_BLANKS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Letters and symbols that are invisible: the Hangul fillers, and Braille without dots."""

_DECOMPOSITION_FACTOR = 4
"""The most code points that NFC composes into one: text longer than the limit times this is too
long in NFC, too."""


class InvalidIdentifierError(ValueError):
    """A text that is not an acceptable address, username or name; the message gives the rule."""


def canonical_email(address: str) -> str:
    """Return the canonical form of an address, for storage, comparison and mail.

    The form is trimmed, NFC and lower case by Unicode's rules, with the domain in IDNA's ASCII.
    The canonical form of a canonical form is itself.

    Raises:
        InvalidIdentifierError: mail cannot reach the address (no domain, a literal address, a
            quoted local part, too long, ...), or the address is not plain (`is_plain_address`).
    """
    local_part, at, domain = address.strip().partition("@")
    if len(local_part) > _DECOMPOSITION_FACTOR * LOCAL_PART_MAX_LENGTH:
        raise InvalidIdentifierError(_NO_EMAIL)
    try:
        # The domain is left to IDNA, whose own lower case does not produce the final sigma.
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
    # `test_environment` allows domains that end in ".test", but also "test" alone.
    if is_too_long or "." not in domain or not is_plain_address(canonical):
        raise InvalidIdentifierError(_NO_EMAIL)
    return canonical


_SPECIALS = frozenset('"(),:;<>@[\\]')
"""Characters that need quoting in a local part (RFC 5322 §3.2.3), without the dot."""

_ENCODED_WORD_START = "=?"
"""The start of an encoded word (RFC 2047 §2), which some programs decode even in an address."""

_PLAIN_DOMAIN = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")


def is_plain_address(address: str) -> bool:
    """Return True if an address is safe in mail headers and envelopes without quoting.

    No mail program can read it as several addresses: the local part, and its NFKC form, which
    some servers compute, hold no character to quote, no encoded word, space or invisible character.

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
    # NFC before and after: lower-casing can produce a decomposed sequence (U+0130), and composing
    # can produce a capital.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


def canonical_domain(domain: str) -> str | None:
    """Return the canonical form of an address's domain, or None if no address can have it.

    Args:
        domain: in Unicode or in IDNA's ASCII, in any letter case.
    """
    try:
        return canonical_email(f"x@{domain}").partition("@")[2]
    except InvalidIdentifierError:
        return None


_PUNYCODE = "xn--"
"""The start of a label that encodes Unicode (RFC 5890 §2.3.2.5)."""

_ANY_TLD = ".example"


def email_beginnings(text: str) -> tuple[tuple[str, str], ...]:
    """Return the prefixes of stored addresses that match a prefix as people type it.

    The domain's last label may be incomplete, and then has no ASCII form. But a label's punycode
    begins with its ASCII letters, in their order (RFC 3492 §3.1).

    Args:
        text: a prefix that contains `@`, the domain in Unicode or in IDNA's ASCII.

    Returns:
        Pairs of prefixes: of the stored form, and of `unicode_email` of the same address. Both
        must match, because the first alone also matches other addresses.
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
    """Return the canonical form of a username: lower case, 3 to 32 of `a-z 0-9 . _ -`.

    Raises:
        InvalidIdentifierError: other characters, another length, or punctuation at an end.
    """
    # isascii() first: the Kelvin sign, for example, becomes an ordinary "k" in lower case.
    lowered = username.lower() if username.isascii() else ""
    if not _USERNAME.fullmatch(lowered):
        raise InvalidIdentifierError(
            "3 to 32 letters, digits, dots, hyphens or underscores, with a letter or digit at "
            "both ends."
        )
    return lowered


def canonical_login_identifier(identifier: str) -> str | None:
    """Return the canonical form of a login identifier, or None if no account can have it.

    A text with `@` is an address, because usernames hold no `@`.
    """
    try:
        if "@" in identifier:
            return canonical_email(identifier)
        return canonical_username(identifier.strip())
    except InvalidIdentifierError:
        return None


def clean_display_name(name: str, *, max_length: int = DISPLAY_NAME_MAX_LENGTH) -> str:
    """Return a display name in NFC, trimmed, with 1 to `max_length` code points.

    Raises:
        InvalidIdentifierError: the name is empty or too long, has control characters or
            bidirectional controls, or has no visible character.
    """
    stripped = name.strip()
    # Normalising is quadratic, so text that must be too long is refused before.
    if len(stripped) > _DECOMPOSITION_FACTOR * max_length:
        raise InvalidIdentifierError(f"1 to {max_length} characters.")
    cleaned = unicodedata.normalize("NFC", stripped)
    if not 1 <= len(cleaned) <= max_length:
        raise InvalidIdentifierError(f"1 to {max_length} characters.")
    if any(unicodedata.category(c) in _HIDDEN_CATEGORIES or c in _BIDI_CONTROLS for c in cleaned):
        raise InvalidIdentifierError("No control characters.")
    if not any(unicodedata.category(c)[0] in _VISIBLE_KINDS and c not in _BLANKS for c in cleaned):
        raise InvalidIdentifierError("At least one character that can be seen.")
    return cleaned


def lower_key(text: str) -> str:
    """Return the form for a prefix search of addresses and usernames: lower case, NFC."""
    return _lower(text)


def search_key(text: str) -> str:
    """Return the form for a prefix search of display names: case folded, NFC."""
    return unicodedata.normalize("NFC", text.casefold())
