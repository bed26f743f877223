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
    EMAIL_CHANGE_REQUESTED = "email_change_requested"
    EMAIL_CHANGED = "email_changed"


def plain_name(display_name: str | None) -> str:
    """What of a display name can be shown in a mail: letters, digits, spaces, hyphens.

    Whoever opens an account chooses its name, and the mail goes to somebody else's address: so
    nothing is left that a mail program could turn into a link.
    """
    kept = (c for c in display_name or "" if unicodedata.category(c)[0] in "LMN" or c in " -'")
    return " ".join("".join(kept).split())
