"""The state of a sign-in whose first step succeeded, for the pages that ask for the next one.

A client of the API gets it with the refusal of the first step. A page may be opened again. It is
small because it only reads.
"""

from authserve.auth.enrollment import is_code_needed
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.mfa.assurance import SecondStep, enrollments, second_steps
from authserve.mfa.factors import find_factors
from authserve.mfa.pending import Pending, Purpose, read_pending
from authserve.settings.model import SETTINGS


@frozen(kw_only=True)
class OpenSignIn:
    """A sign-in that waits for its second step, or for its account's first factor.

    Args:
        email: of its account.
        methods: those that suffice, in the order in which they are offered.
        is_code_mailed: True if the first factor needs the code that was mailed.
        tries_left: the number of proofs that are still compared.
    """

    email: str
    methods: tuple[SecondStep, ...]
    is_code_mailed: bool
    tries_left: int


def find_open_sign_in(mfa_token: str, purpose: Purpose) -> OpenSignIn:
    """Return the state of a sign-in; it changes nothing.

    Args:
        mfa_token: of the first step.
        purpose: the step that the page is for.

    Raises:
        MfaTokenInvalidError, MfaTokenExpiredError, AccountDisabledError: see
            `mfa.pending.read_pending`.
    """
    settings = SETTINGS.get()
    pending = read_pending(mfa_token, purpose, settings=settings, now=now())
    return OpenSignIn(
        email=pending.account.email,
        methods=tuple(
            each
            for each in _methods(pending)
            if each is not SecondStep.PASSKEY or settings.passkey_rp_id
        ),
        is_code_mailed=purpose is Purpose.ENROLL and is_code_needed(pending),
        tries_left=pending.tries_left,
    )


def _methods(pending: Pending) -> tuple[SecondStep, ...]:
    if pending.purpose is Purpose.ENROLL:
        return enrollments(pending.proofs)
    return second_steps(pending.proofs, find_factors(pending.account.ref.id))
