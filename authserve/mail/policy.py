"""Which mails there are, and what of a user's own words may stand in one."""

import unicodedata
from enum import StrEnum


class MailKind(StrEnum):
    """Every mail that the service sends: a closed list. Each has templates of its name."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"
    CHANGE_EMAIL = "change_email"
    INVITATION = "invitation"
    ACCOUNT_EXISTS = "account_exists"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_DISABLED = "password_disabled"
    EMAIL_CHANGE_REQUESTED = "email_change_requested"
    EMAIL_CHANGED = "email_changed"


MAX_NAME_LENGTH = 40
"""Of a name in a mail (chosen): a greeting needs no more, and a sermon does not fit."""

_NAME_MARKS = "-'\u2019"
"""What stands inside of names beside letters."""


def plain_name(display_name: str | None) -> str:
    """What of a display name can be shown in a mail: words of letters, at most 40 characters.

    Whoever opens an account chooses its name, and the mail goes to somebody else's address: so
    nothing is left that a mail program could turn into a link. Digits go as well, since some make
    links of whatever looks like a telephone number.
    """
    words = "".join(map(_plain_character, display_name or "")).split()
    return " ".join(words)[:MAX_NAME_LENGTH].rstrip()


def _plain_character(character: str) -> str:
    kind = unicodedata.category(character)[0]
    if kind in "LM" or character in _NAME_MARKS:
        return character
    # Characters of control and format, such as joiners, stand inside of words.
    return "" if kind == "C" and not character.isspace() else " "
