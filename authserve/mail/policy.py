"""The kinds of mail, the values of their templates, and the words of users that may stand there.

To add a mail: its name in `MailKind`, its three templates in `templates/`, and, where they need
more than the name and a link, its values in `SAMPLE_VALUES`. `verification.service.notify` owes it.
"""

import unicodedata
from collections.abc import Mapping
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
    NEW_DEVICE_SIGN_IN = "new_device_sign_in"
    TEST = "test"


LINK_KINDS = frozenset(
    {
        MailKind.VERIFY_EMAIL,
        MailKind.RESET_PASSWORD,
        MailKind.CHANGE_EMAIL,
        MailKind.INVITATION,
    }
)
"""The mails that carry a one-time link; all others are notices."""

Values = Mapping[str, str | int]
"""What the templates of one kind get besides what all get; numbers rather than phrases."""

SAMPLE_VALUES: Mapping[MailKind, Values] = {
    MailKind.NEW_DEVICE_SIGN_IN: {
        "browser": "Firefox",
        "ip": "203.0.113.7",
        "time": "2026-11-27 09:57 UTC",
    },
}
"""The values of each kind that has any, as examples: `flask doctor` and the tests render every
mail with them, and a mail with other values is refused. A text that a user has chosen goes through
`plain_name` before it becomes a value."""


def check_values(kind: MailKind, values: Values) -> None:
    """Raise unless a mail gets exactly the values that its templates can use.

    Raises:
        ValueError: one is missing, or is not declared.
    """
    if values.keys() != SAMPLE_VALUES.get(kind, {}).keys():
        raise ValueError(f"{kind} wants the values that SAMPLE_VALUES declares for it")


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
