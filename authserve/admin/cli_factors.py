"""`flask users factors` and `mfa-reset`: help for users who lost their second factors."""

from collections.abc import Iterator
from datetime import datetime

from authserve.admin.cli import (
    USERS_ARGUMENT,
    find_users,
    on_each,
    print_change,
    request_of,
    users_group,
)
from authserve.admin.schemas import UserFactorsSchema, user_factors_document
from authserve.admin.sign_in_support import UserFactors, factors_of
from authserve.core.actor import OPERATOR
from authserve.core.cli import YES_OPTION, confirm
from authserve.core.cli_output import is_json, print_document, print_line
from authserve.core.clock import now, to_rfc3339
from authserve.mfa.own_passkeys import PasskeyView
from authserve.mfa.reset import RequestedReset, request_reset
from authserve.users.accounts import User


@users_group.command()
@USERS_ARGUMENT
def factors(users: tuple[str, ...]) -> None:
    """Show the second factors of users, without secrets; `-` reads them from standard input.

    \b
    Examples:
      flask users factors alice
      flask users factors alice@example.com --json
    """
    for user in find_users(users):
        found = factors_of(user.id)
        if is_json():
            document = UserFactorsSchema().dump(user_factors_document(found))
            identity = {"id": str(user.id), "email": user.email}
            print_document({**identity, **document}, is_one_of_many=len(users) > 1)
        else:
            for line in describe_factors(user.email, found):
                print_line(line)


def describe_factors(email: str, found: UserFactors) -> Iterator[str]:
    """Yield the lines that show a user's second factors."""
    state = found.state
    needs = "needs" if state.enabled or state.required else "does not need"
    yield f"{email} {needs} a second factor to sign in."
    if state.totp is not None:
        yield f"- authenticator app, {_used(state.totp.created_at, state.totp.last_used_at)}"
    for passkey in found.passkeys:
        times = _used(passkey.created_at, passkey.last_used_at)
        yield f'- passkey "{passkey.name}" of {passkey.rp_id}, {times}{_warning(passkey)}'
    yield f"Recovery codes left: {state.recovery_codes_left}."
    if found.reset_at is not None:
        yield f"A reset removes them all at {to_rfc3339(found.reset_at)}."


def _used(created_at: datetime, last_used_at: datetime | None) -> str:
    used = "never used" if last_used_at is None else f"last used {to_rfc3339(last_used_at)}"
    return f"added {to_rfc3339(created_at)}, {used}"


def _warning(passkey: PasskeyView) -> str:
    if passkey.is_clone_suspected:
        return " (refused: it may be a clone)"
    return "" if passkey.is_usable else " (unusable: PASSKEY_RP_ID is another)"


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
        requested = request_reset(user.id, actor=OPERATOR, request=request_of("mfa-reset"))
        text = _describe(user.email, requested)
        print_change(text, user, effective_at=to_rfc3339(requested.effective_at))

    on_each(found, act)


def _describe(email: str, requested: RequestedReset) -> str:
    at, is_later = to_rfc3339(requested.effective_at), requested.effective_at > now()
    if not requested.has_factors:
        end = f"Its sessions will end at {at}." if is_later else "Its sessions have ended."
        return f"{email} has no second factors. {end}"
    if is_later:
        return f"The second factors of {email} will be removed at {at}."
    return f"The second factors of {email} are removed, and its sessions have ended."
