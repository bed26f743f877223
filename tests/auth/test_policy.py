"""Whether somebody may sign in."""

import pytest

from authserve.auth.policy import SignInFailure, judge_sign_in
from authserve.core.actor import UserRef
from authserve.core.ids import new_id
from authserve.core.settings import EmailVerification
from authserve.users.service import Credentials

OFF, OPTIONAL, REQUIRED = EmailVerification


def account(
    *, has_password: bool = True, is_active: bool = True, email_verified: bool = True
) -> Credentials:
    return Credentials(
        ref=UserRef(new_id(), new_id()),
        email="alice@example.com",
        username="alice",
        display_name=None,
        password_hash="a hash" if has_password else None,
        is_active=is_active,
        email_verified=email_verified,
        password_version=0,
    )


GOOD = account()
UNVERIFIED = account(email_verified=False)
DISABLED = account(is_active=False)
NEITHER = account(is_active=False, email_verified=False)
NO_PASSWORD = account(has_password=False, is_active=False)


@pytest.mark.parametrize(
    ("credentials", "is_right", "verification", "expected"),
    [
        (GOOD, True, REQUIRED, None),
        (GOOD, True, OFF, None),
        (GOOD, False, OFF, SignInFailure.WRONG_PASSWORD),
        (UNVERIFIED, True, OFF, None),
        (UNVERIFIED, True, OPTIONAL, None),
        (UNVERIFIED, True, REQUIRED, SignInFailure.EMAIL_NOT_VERIFIED),
        (UNVERIFIED, False, REQUIRED, SignInFailure.WRONG_PASSWORD),
        (DISABLED, True, OFF, SignInFailure.ACCOUNT_DISABLED),
        (DISABLED, False, OFF, SignInFailure.WRONG_PASSWORD),
        (NEITHER, True, REQUIRED, SignInFailure.ACCOUNT_DISABLED),
        (NO_PASSWORD, False, OFF, SignInFailure.NO_PASSWORD),
        # No hash verifies anything; should one ever seem to, it opens nothing.
        (NO_PASSWORD, True, OFF, SignInFailure.NO_PASSWORD),
        (None, False, OFF, SignInFailure.UNKNOWN_IDENTIFIER),
        (None, True, REQUIRED, SignInFailure.UNKNOWN_IDENTIFIER),
    ],
)
def test_a_state_is_told_after_the_right_password_alone(
    credentials: Credentials | None,
    is_right: bool,
    verification: EmailVerification,
    expected: SignInFailure | None,
) -> None:
    judged = judge_sign_in(credentials, is_password_right=is_right, verification=verification)
    assert judged is expected
