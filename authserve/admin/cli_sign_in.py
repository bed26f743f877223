"""`flask users why`, `unlock` and `reset-link`: help for users who cannot sign in."""

from collections.abc import Iterator, Mapping
from typing import Any

from authserve.admin.cli import (
    USERS_ARGUMENT,
    find_users,
    on_each,
    print_change,
    request_of,
    users_group,
)
from authserve.admin.schemas import SignInStatusSchema, sign_in_status_document
from authserve.admin.sign_in_support import (
    RESET_LINK_LIFETIME,
    SignInObstacle,
    SignInStatus,
    issue_reset_link,
    sign_in_status,
    unlock_user,
)
from authserve.auth.policy import SignInFailure
from authserve.core.actor import OPERATOR
from authserve.core.cli_output import is_json, print_document, print_hint, print_line
from authserve.core.clock import to_rfc3339
from authserve.mfa.assurance import ProofFailure
from authserve.users.accounts import User
from authserve.users.credentials import is_password_disabled


@users_group.command()
@USERS_ARGUMENT
def why(users: tuple[str, ...]) -> None:
    """Explain why users can or cannot sign in; `-` reads them from standard input.

    Blocks on a client's IP address or on a known device are not shown.

    \b
    Examples:
      flask users why alice
      flask users why alice@example.com --json
    """
    found = find_users(users)
    for user in found:
        status = sign_in_status(user.id)
        if is_json():
            document = SignInStatusSchema().dump(sign_in_status_document(status))
            identity = {"id": str(user.id), "email": user.email}
            print_document({**identity, **document}, is_one_of_many=len(found) > 1)
        else:
            for line in describe_status(user.email, status):
                print_line(line)


@users_group.command()
@USERS_ARGUMENT
def unlock(users: tuple[str, ...]) -> None:
    """End the throttles' blocks on accounts; `-` reads the accounts from standard input.

    Those after wrong passwords end, and those after wrong codes, recovery codes and passkeys.
    Blocks on a client's IP address stay. A password that was disabled after a hundred wrong
    attempts stays disabled: its owner needs a new one, see `flask users reset-link`.

    \b
    Example:
      flask users unlock alice
    """

    def act(user: User) -> None:
        unlock_user(user.id, actor=OPERATOR, request=request_of("unlock"))
        print_change(f"The blocks on {user.email} are ended.", user, is_throttled=False)
        if is_password_disabled(user.failed_sign_ins):
            print_hint(f"Its password is disabled. See: flask users why {user.email}")

    on_each(find_users(users), act)


@users_group.command("reset-link")
@USERS_ARGUMENT
def reset_link(users: tuple[str, ...]) -> None:
    """Print links to set a new password, for users who cannot receive mail.

    Each link works once and ends all sessions when it is used. Older reset links stop working.
    Give a link only to the owner of the account.

    \b
    Example:
      flask users reset-link alice@example.com
    """
    minutes = int(RESET_LINK_LIFETIME.total_seconds()) // 60

    def act(user: User) -> None:
        link = issue_reset_link(user.id, actor=OPERATOR, request=request_of("reset-link"))
        print_change(f"{user.email}: {link}", user, link=link, lifetime_minutes=minutes)

    on_each(find_users(users), act)
    print_hint(f"Each link works once, within {minutes} minutes.")


OBSTACLES: Mapping[SignInObstacle, str] = {
    SignInObstacle.ACCOUNT_DISABLED: (
        "The account is deactivated. To activate it: flask users activate {email}"
    ),
    SignInObstacle.EMAIL_NOT_VERIFIED: (
        "The address is not verified, and EMAIL_VERIFICATION=required. POST "
        "/api/v1/auth/email/verify/resend sends a mail with a link."
    ),
    SignInObstacle.NO_PASSWORD: (
        "The account has no password and no other way in. To send the invitation again: "
        "flask users invite {email}"
    ),
    SignInObstacle.PASSWORD_DISABLED: (
        "A hundred wrong passwords in a row disabled the password on unknown devices. "
        "To set a new one: flask users reset-link {email}"
    ),
    SignInObstacle.THROTTLED: (
        "Too many wrong passwords block sign-in until {throttled_until}. "
        "To end it: flask users unlock {email}"
    ),
    SignInObstacle.MFA_ENROLLMENT_REQUIRED: (
        "The account needs a second factor and has none: the next sign-in sets one up, with the "
        "password and a mailed code."
    ),
    SignInObstacle.SECOND_FACTOR_THROTTLED: (
        "Wrong second factors after the right password block unknown devices until "
        "{second_factor_throttled_until}. To end it: flask users unlock {email}. If they were not "
        "the owner's, another person knows the password: flask users reset-link {email}"
    ),
    SignInObstacle.SECOND_FACTOR_SWITCHED_OFF: (
        "A hundred wrong second factors in a row switched codes of the app off for unknown "
        "devices. To set a new password, which ends it: flask users reset-link {email}"
    ),
    SignInObstacle.MFA_RESET_PENDING: (
        "A reset removes the second factors at {reset_at}, unless one of them is used before."
    ),
    SignInObstacle.NO_USABLE_FACTOR: (
        "The account needs a second factor, and none of its factors works: see flask users factors "
        "{email}. To remove them: flask users mfa-reset {email}"
    ),
}
"""The sentence for each obstacle, with its remedy."""

FAILURES: Mapping[str, str] = {
    SignInFailure.UNKNOWN_IDENTIFIER: "unknown identifier",
    SignInFailure.NO_PASSWORD: "the account had no password",
    SignInFailure.WRONG_PASSWORD: "wrong password",
    SignInFailure.PASSWORD_DISABLED: "the password was disabled",
    SignInFailure.ACCOUNT_DISABLED: "the account was deactivated",
    SignInFailure.EMAIL_NOT_VERIFIED: "the address was not verified",
    SignInFailure.UNKNOWN_PASSKEY: "unknown passkey",
    SignInFailure.PASSKEY_REFUSED: "the passkey's answer was refused",
    SignInFailure.PASSKEY_FLAGGED: "the passkey may be a clone",
    SignInFailure.WRONG_EMAIL_CODE: "wrong mailed code",
    SignInFailure.UNLINKED_IDENTITY: "the identity at the provider was unlinked meanwhile",
    ProofFailure.WRONG_CODE: "wrong code of the app",
    ProofFailure.CODE_REUSED: "a code of the app that was used already",
    ProofFailure.WRONG_RECOVERY_CODE: "wrong recovery code",
    ProofFailure.SWITCHED_OFF: "codes of the app were switched off",
    ProofFailure.PENDING_SIGN_IN_DEAD: "the first step was too long ago, or had failed too often",
}


def describe_status(email: str, status: SignInStatus) -> Iterator[str]:
    """Yield the lines that explain why a user can or cannot sign in on an unknown device."""
    end = ":" if status.reasons else "."
    yield f"{email} can sign in{end}" if status.can_sign_in else f"{email} cannot sign in:"
    values = {
        "email": email,
        "throttled_until": _time(status.throttled_until),
        "second_factor_throttled_until": _time(status.mfa.throttled_until),
        "reset_at": _time(status.mfa.reset_at),
    }
    for reason in status.reasons:
        yield f"- {OBSTACLES[reason].format_map(values)}"
    verified = "verified" if status.email_verified else "not verified"
    yield f"The address is {verified}. The last sign-in was: {_time(status.last_success)}."
    if status.providers:
        yield f"Other providers that open the account: {', '.join(status.providers)}."
    yield f"Live sessions: {status.live_sessions}."
    yield from _section("Last failures:", (_failure(each) for each in status.last_failures))
    yield from _section("Last mails:", (_mail(each) for each in status.mails))


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    found = list(lines)
    yield title if found else f"{title} none."
    yield from (f"- {line}" for line in found)


def _failure(failure: Any) -> str:
    reason = FAILURES.get(failure.reason, failure.reason or "reason unknown")
    source = f"from {failure.ip or 'an unknown address'}"
    return f"{_time(failure.at)} {reason}, {source}, request {failure.correlation_id or '-'}"


def _mail(mail: Any) -> str:
    error = f": {mail.last_error}" if mail.last_error else ""
    tries = f"attempts: {mail.attempts}"
    return f"{_time(mail.created_at)} {mail.kind}, {mail.state}, {tries}{error}"


def _time(time: Any) -> str:
    return "never" if time is None else to_rfc3339(time)
