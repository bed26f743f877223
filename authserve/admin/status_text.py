"""A sign-in status in sentences, for the operator at the command line."""

from collections.abc import Iterator, Mapping
from typing import Any

from authserve.admin.sign_in_status import SignInObstacle, SignInStatus
from authserve.auth.policy import SignInFailure
from authserve.core.clock import to_rfc3339

OBSTACLES: Mapping[SignInObstacle, str] = {
    SignInObstacle.ACCOUNT_DISABLED: (
        "The account is deactivated. To activate it: flask users activate {email}"
    ),
    SignInObstacle.EMAIL_NOT_VERIFIED: (
        "The address is not verified, and EMAIL_VERIFICATION=required. A mail with a link is sent "
        "by POST /api/v1/auth/email/verify/resend."
    ),
    SignInObstacle.NO_PASSWORD: (
        "The account has no password yet. To send the invitation again: flask users invite {email}"
    ),
    SignInObstacle.PASSWORD_DISABLED: (
        "A hundred wrong passwords in a row have switched the password off for unknown devices. "
        "For a new one: flask users reset-link {email}"
    ),
    SignInObstacle.THROTTLED: (
        "Wrong passwords have begun a block until {throttled_until}. "
        "To end it: flask users unlock {email}"
    ),
}
"""The sentence for each obstacle, with its remedy."""

FAILURES: Mapping[str, str] = {
    SignInFailure.UNKNOWN_IDENTIFIER: "unknown identifier",
    SignInFailure.NO_PASSWORD: "the account had no password",
    SignInFailure.WRONG_PASSWORD: "wrong password",
    SignInFailure.PASSWORD_DISABLED: "the password was switched off",
    SignInFailure.ACCOUNT_DISABLED: "the account was deactivated",
    SignInFailure.EMAIL_NOT_VERIFIED: "the address was not verified",
}


def describe_status(email: str, status: SignInStatus) -> Iterator[str]:
    """Yield the lines that explain why a user can or cannot sign in on an unknown device."""
    yield f"{email} can sign in." if status.can_sign_in else f"{email} cannot sign in:"
    end = _time(status.throttled_until)
    for reason in status.reasons:
        sentence = OBSTACLES[reason].replace("{throttled_until}", end)
        yield f"- {sentence.replace('{email}', email)}"
    verified = "verified" if status.email_verified else "not verified"
    yield f"The address is {verified}. The last sign-in was: {_time(status.last_success)}."
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
