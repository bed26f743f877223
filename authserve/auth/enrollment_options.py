"""Options for an account's first factor, during a sign-in that needs one."""

from datetime import datetime
from typing import Any

from authserve.auth.enrollment import lock_owner_without_factor, registration_of
from authserve.auth.second_step import read_live_pending
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.core.errors import ValidationFailedError
from authserve.database.transactions import transaction
from authserve.mfa.assurance import SecondStep, can_add_code
from authserve.mfa.passkey_options import PasskeyOwner, creation_options
from authserve.mfa.pending import Pending, Purpose
from authserve.mfa.totp_set_up import begin_set_up, describe_set_up
from authserve.settings.model import SETTINGS


def begin_enrollment(mfa_token: str, method: SecondStep, *, request: RequestInfo) -> dict[str, Any]:
    """Return what the first factor of a pending sign-in's account is made of.

    Args:
        mfa_token: of the first step.
        method: the kind of factor.
        request: for the audit events.

    Returns:
        `secret`, `uri` and `qr_svg` of an app, or `public_key` with the options of a passkey.

    Raises:
        MfaTokenInvalidError, MfaTokenExpiredError, AccountDisabledError: see
            `mfa.pending.read_pending`; also if the account has a factor by now.
        ValidationFailedError: the method does not reach two factors after this first step, or there
            are no passkeys here.
    """
    settings, moment = SETTINGS.get(), now()
    pending = read_live_pending(mfa_token, Purpose.ENROLL, request, settings, moment)
    if method is SecondStep.PASSKEY and settings.passkey_rp_id:
        return {"public_key": _passkey_options(pending, moment)}
    if method is SecondStep.TOTP and can_add_code(pending.proofs):
        return _begin_set_up(pending)
    raise ValidationFailedError({"method": ["Not possible for this sign-in."]})


def _passkey_options(pending: Pending, moment: datetime) -> dict[str, Any]:
    account = pending.account
    owner = PasskeyOwner(id=account.ref.id, email=account.email, display_name=account.display_name)
    return creation_options(owner, registration_of(pending), now=moment)


def _begin_set_up(pending: Pending) -> dict[str, Any]:
    with transaction():
        owner = lock_owner_without_factor(pending)
        secret = begin_set_up(owner, bound_to=pending.id)
    made = describe_set_up(secret, email=owner.email, email_code_required=True)
    return {"secret": made.secret, "uri": made.uri, "qr_svg": made.qr_svg}
