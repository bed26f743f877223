"""Addresses and usernames: one stored form each, computed here and nowhere else.

Databases disagree on lower case (PostgreSQL by locale, SQLite by ASCII alone), so the form is made
in Python, stored, and compared byte by byte.
"""

import re
import unicodedata

from email_validator import EmailNotValidError, validate_email

EMAIL_MAX_LENGTH = 254
"""RFC 5321 §4.5.3.1.3 allows a path of 256 octets, of which two are the angle brackets."""

USERNAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{1,30}[a-z0-9]$"
_USERNAME = re.compile(USERNAME_PATTERN.strip("^$"))

DISPLAY_NAME_MAX_LENGTH = 100

_HIDDEN_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})
_BIDI_CONTROLS = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class InvalidIdentifierError(ValueError):
    """The text is no address, username or name that the service takes; the message says why."""


def canonical_email(address: str) -> str:
    """The one form of an address that is stored, compared and written to.

    Trimmed, NFC, lower-cased by Unicode's rules, the domain in IDNA's ASCII. Applying it twice
    changes nothing.

    Raises:
        InvalidIdentifierError: no address that mail could reach (no domain, a literal address,
            a quoted local part, too long, ...).
    """
    try:
        parsed = validate_email(
            _lower(address.strip()), check_deliverability=False, test_environment=True
        )
    except (EmailNotValidError, UnicodeError, ValueError) as error:
        raise InvalidIdentifierError("Not a valid email address.") from error
    canonical = f"{_lower(parsed.local_part)}@{(parsed.ascii_domain or parsed.domain).lower()}"
    if len(canonical.encode()) > EMAIL_MAX_LENGTH:
        raise InvalidIdentifierError("Not a valid email address.")
    return canonical


def _lower(text: str) -> str:
    # Lower-casing can leave a decomposed sequence (U+0130), and composing can leave a capital.
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).lower())


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
        InvalidIdentifierError: empty, too long, or with control or bidirectional characters.
    """
    # Normalising is quadratic, so it never sees more than could compose into a good name.
    cleaned = unicodedata.normalize("NFC", name[: 4 * DISPLAY_NAME_MAX_LENGTH + 1]).strip()
    if not 1 <= len(cleaned) <= DISPLAY_NAME_MAX_LENGTH:
        raise InvalidIdentifierError("1 to 100 characters.")
    if any(unicodedata.category(c) in _HIDDEN_CATEGORIES or c in _BIDI_CONTROLS for c in cleaned):
        raise InvalidIdentifierError("No control characters.")
    return cleaned


def search_key(text: str) -> str:
    """The form in which the beginning of a name is searched: case folded, NFC."""
    return unicodedata.normalize("NFC", text.casefold())
