"""Errors of second factors."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from authserve.core.errors import (
    ConflictError,
    ForbiddenError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from authserve.mfa.assurance import SecondStep
from authserve.users.credentials import Credentials


class MfaRequiredError(ForbiddenError):
    """Proofs that are right but not enough: the account needs a second factor.

    Args:
        methods: those that suffice, in the order in which clients offer them.
    """

    code = "mfa_required"
    default_detail = "This account needs a second factor."
    example_members: ClassVar[Mapping[str, Any]] = {"methods": ["passkey", "totp"]}

    def __init__(
        self, methods: Sequence[SecondStep], *, members: Mapping[str, Any] | None = None
    ) -> None:
        self.methods = tuple(methods)
        super().__init__(members={**(members or {}), "methods": list(self.methods)})


_EXAMPLE_MFA_TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6Im1mYStqd3QifQ.eyJzdWIiOiIwMTkzMmY1ZSJ9.MEUCIQ"


class SecondStepRequiredError(MfaRequiredError):
    """A right first step of a sign-in that goes on with the members `mfa_token` and `methods`.

    Args:
        methods: see `MfaRequiredError`.
        mfa_token: names the pending sign-in at the next call.
        expires_in_secs: the token's lifetime, in whole seconds.
    """

    example_members: ClassVar[Mapping[str, Any]] = {
        "mfa_token": _EXAMPLE_MFA_TOKEN,
        "expires_in": 300,
        "methods": ["passkey", "totp", "recovery_code"],
    }

    def __init__(
        self, methods: Sequence[SecondStep], *, mfa_token: str, expires_in_secs: int
    ) -> None:
        self.mfa_token = mfa_token
        members = {"mfa_token": mfa_token, "expires_in": expires_in_secs}
        super().__init__(methods, members=members)


class MfaEnrollmentRequiredError(SecondStepRequiredError):
    """A right first step of an account that must set up a second factor before it is used."""

    code = "mfa_enrollment_required"
    default_detail = "This account must set up a second factor first."
    example_members: ClassVar[Mapping[str, Any]] = {
        "mfa_token": _EXAMPLE_MFA_TOKEN,
        "expires_in": 900,
        "methods": ["passkey", "totp"],
    }


class FactorUnavailableError(UnavailableError):
    """A TOTP secret that no configured secret decrypts, so that no code can be compared.

    `remedy` is for the operator: it is logged, and `flask doctor` prints it.
    """

    code = "factor_unavailable"
    default_detail = "Codes cannot be checked now. Use another second factor, or try again later."
    remedy = "a TOTP secret does not open: put the former SECRET_KEY into SECRET_KEY_FALLBACKS"


class MfaTokenInvalidError(UnauthenticatedError):
    """An `mfa_token` that opens nothing (any more).

    RFC 6750 §3.1: no access token was presented, so the challenge carries no error code.
    """

    code = "mfa_token_invalid"
    default_detail = "This sign-in cannot go on. Begin again."
    challenge = ""


class DeadPendingError(MfaTokenInvalidError):
    """An `mfa_token` of this service whose sign-in is over, or had too many attempts.

    Args:
        account: its account.
    """

    def __init__(self, account: Credentials) -> None:
        super().__init__()
        self.account = account


class MfaTokenExpiredError(UnauthenticatedError):
    """An `mfa_token` of a sign-in that took too long; see `MfaTokenInvalidError`."""

    code = "mfa_token_expired"
    default_detail = "This sign-in took too long. Begin again."
    challenge = ""


class InvalidPasskeyError(UnauthenticatedError):
    """An answer of a passkey that is refused during a sign-in; the client does not learn why.

    RFC 6750 §3.1: no token was presented, so the challenge carries no error code.
    """

    code = "invalid_passkey"
    default_detail = "The passkey was not accepted."
    challenge = ""


class PasskeyTakenError(ConflictError):
    """A passkey that is registered already, for this account or another."""

    code = "passkey_taken"
    default_detail = "This passkey is registered already."


class TooManyPasskeysError(ConflictError):
    """An account that has as many passkeys as an account may have."""

    code = "too_many_passkeys"
    default_detail = "An account can have ten passkeys. Delete one first."


class WrongPasskeyError(ForbiddenError):
    """An answer of a passkey that a signed-in user gave is refused."""

    code = InvalidPasskeyError.code
    default_detail = InvalidPasskeyError.default_detail


class LastCredentialError(ConflictError):
    """The passkey or identity is all that opens an account."""

    code = "last_credential"
    default_detail = "Set a password first: nothing else would open this account."


class UnknownPasskeyError(UnauthenticatedError):
    """A passkey that belongs to no account; a client may ask the browser to forget it."""

    code = "unknown_passkey"
    default_detail = "No account has this passkey."
    challenge = ""


class InvalidCodeError(ForbiddenError):
    """A code that a signed-in user gave is wrong: of an app, or from a mail."""

    code = "invalid_code"
    default_detail = "The code is not right, or not any more."


class WrongMailedCodeError(InvalidCodeError):
    """The mailed one of two codes is wrong, so that a page can name its field."""


class CodeReusedError(ForbiddenError):
    """A signed-in user gave a right code of an app, but its time step is spent."""

    code = "code_reused"
    default_detail = "This code was used already. Wait for the next one."


class MfaOffError(ForbiddenError):
    """The operator has switched second factors off, so none can be added."""

    code = "mfa_off"
    default_detail = "Second factors are switched off here."


class NoFactorError(ConflictError):
    """The account has no usable second factor, which the call needs."""

    code = "no_factor"
    default_detail = "Set up a second factor first."


class NoSetUpError(ConflictError):
    """This session has no set-up to confirm: none was begun, it has expired, or it was replaced."""

    code = "no_set_up"
    default_detail = "There is nothing to confirm. Begin the set-up again."


class MfaRequiredByPolicyError(ConflictError):
    """The operator requires a second factor, so it can be neither switched off nor removed last."""

    code = "mfa_required_by_policy"
    default_detail = "This service requires a second factor."


class FactorNotFoundError(NotFoundError):
    """The account has no such factor."""

    code = "factor_not_found"
    default_detail = "There is no such factor."
