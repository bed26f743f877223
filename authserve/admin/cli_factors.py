"""`flask users mfa-reset`: help for users who lost their second factors."""

from datetime import datetime

from authserve.admin.cli import (
    USERS_ARGUMENT,
    find_users,
    on_each,
    print_change,
    request_of,
    users_group,
)
from authserve.core.actor import OPERATOR
from authserve.core.cli import YES_OPTION, confirm
from authserve.core.clock import now, to_rfc3339
from authserve.mfa.reset import request_reset
from authserve.users.accounts import User


@users_group.command("mfa-reset")
@USERS_ARGUMENT
@YES_OPTION
def mfa_reset(users: tuple[str, ...], yes: bool) -> None:
    """Remove the second factors of accounts; `-` reads the accounts from standard input.

    Authenticator app, passkeys and recovery codes go, and all sessions end: at once, or after
    MFA_RESET_DELAY, within which any of the factors cancels the reset. An account that needs a
    second factor sets up a new one at its next sign-in, with its password and a mailed code.
    Several accounts need a confirmation, or --yes.

    \b
    Example:
      flask users mfa-reset alice@example.com
    """
    found = find_users(users)
    if len(found) > 1:
        confirm(f"This removes the second factors of {len(found)} accounts. Continue?", yes=yes)

    def act(user: User) -> None:
        effective_at = request_reset(user.id, actor=OPERATOR, request=request_of("mfa-reset"))
        text = _describe(user.email, effective_at)
        print_change(text, user, effective_at=to_rfc3339(effective_at))

    on_each(found, act)


def _describe(email: str, effective_at: datetime) -> str:
    if effective_at > now():
        return f"The second factors of {email} will be removed at {to_rfc3339(effective_at)}."
    return f"The second factors of {email} are removed, and its sessions have ended."
