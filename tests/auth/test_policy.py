"""The decision whether an account may sign in."""

import pytest

from authserve.auth.policy import SignInFailure, check_sign_in
from authserve.core.actor import UserRef
from authserve.core.ids import new_id
from authserve.settings.model import EmailVerification
from authserve.users.credentials import Credentials

OFF, OPTIONAL, REQUIRED = EmailVerification


def account(
    *,
    has_password: bool = True,
    is_active: bool = True,
    email_verified: bool = True,
    is_password_disabled: bool = False,
) -> Credentials:
    return Credentials(
        ref=UserRef(new_id(), new_id()),
        email="alice@example.com",
        username="alice",
        display_name=None,
        password_hash="a hash" if has_password else None,
        is_activated=has_password,
        is_active=is_active,
        email_verified=email_verified,
        password_version=0,
        is_password_disabled=is_password_disabled,
    )


GOOD = account()
UNVERIFIED = account(email_verified=False)
DISABLED = account(is_active=False)
NEITHER = account(is_active=False, email_verified=False)
NO_PASSWORD = account(has_password=False, is_active=False)
SWITCHED_OFF = account(is_password_disabled=True, is_active=False, email_verified=False)


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
        # No password matches without a hash; even if one did, the sign-in would be refused.
        (NO_PASSWORD, True, OFF, SignInFailure.NO_PASSWORD),
        (SWITCHED_OFF, True, REQUIRED, SignInFailure.PASSWORD_DISABLED),
        (SWITCHED_OFF, False, OFF, SignInFailure.PASSWORD_DISABLED),
        (None, False, OFF, SignInFailure.UNKNOWN_IDENTIFIER),
        (None, True, REQUIRED, SignInFailure.UNKNOWN_IDENTIFIER),
    ],
)
def test_a_state_is_revealed_after_the_right_password_alone(
    credentials: Credentials | None,
    is_right: bool,
    verification: EmailVerification,
    expected: SignInFailure | None,
) -> None:
    judged = check_sign_in(
        credentials,
        is_known_device=False,
        is_password_right=is_right,
        verification=verification,
    )
    assert judged is expected


@pytest.mark.parametrize(
    ("is_right", "is_active", "expected"),
    [
        (True, True, None),
        (True, False, SignInFailure.ACCOUNT_DISABLED),
        (False, True, SignInFailure.WRONG_PASSWORD),
    ],
)
def test_for_a_known_device_no_password_is_switched_off(
    is_right: bool, is_active: bool, expected: SignInFailure | None
) -> None:
    judged = check_sign_in(
        account(is_password_disabled=True, is_active=is_active),
        is_known_device=True,
        is_password_right=is_right,
        verification=OFF,
    )
    assert judged is expected


@pytest.mark.parametrize(
    ("is_disabled", "is_known", "expected"),
    [
        (False, False, "a hash"),
        (False, True, "a hash"),
        (True, False, None),
        (True, True, "a hash"),
    ],
)
def test_a_password_that_is_switched_off_is_not_checked_for_strangers(
    is_disabled: bool, is_known: bool, expected: str | None
) -> None:
    credentials = account(is_password_disabled=is_disabled)
    assert credentials.hash_for(is_known_caller=is_known) == expected
