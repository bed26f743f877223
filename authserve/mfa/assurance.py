"""The assessment of a sign-in: what its proofs are worth, and what is still needed.

It is pure. Every way to a session, and every check of one, takes its decision from here.
"""

from collections.abc import Collection
from datetime import datetime
from enum import StrEnum

from authserve.core.frozen import frozen
from authserve.core.levels import Level, Proof, amr_of
from authserve.settings.model import Mfa, Settings


class SecondStep(StrEnum):
    """Methods of the second step of a sign-in, in the order in which clients offer them."""

    PASSKEY = "passkey"
    TOTP = "totp"
    RECOVERY_CODE = "recovery_code"


class ProofFailure(StrEnum):
    """Reasons for which a second proof is refused; logs and audit events use these values."""

    WRONG_CODE = "wrong_code"
    CODE_REUSED = "code_reused"
    WRONG_RECOVERY_CODE = "wrong_recovery_code"
    UNKNOWN_PASSKEY = "unknown_passkey"
    PASSKEY_REFUSED = "passkey_refused"
    PASSKEY_FLAGGED = "passkey_flagged"
    SWITCHED_OFF = "second_factor_switched_off"
    WRONG_EMAIL_CODE = "wrong_email_code"
    PENDING_SIGN_IN_DEAD = "pending_sign_in_dead"


@frozen(kw_only=True)
class Factors:
    """The factors of an account, besides its password.

    Args:
        has_totp: True if it has a confirmed TOTP secret.
        usable_passkeys: the number of passkeys of the present RP ID that are not flagged.
        passkeys: the number of all its passkeys.
        recovery_codes_left: the number of unused recovery codes.
    """

    has_totp: bool = False
    usable_passkeys: int = 0
    passkeys: int = 0
    recovery_codes_left: int = 0

    @property
    def has_usable(self) -> bool:
        """True if a factor works now. Recovery codes are no factor of their own."""
        return self.has_totp or self.usable_passkeys > 0

    @property
    def reached_level(self) -> Level:
        """The highest level that a sign-in with a password and one of them reaches."""
        if self.usable_passkeys:
            return Level.PHR
        return Level.AAL2 if self.has_totp else Level.AAL1

    @property
    def has_any(self) -> bool:
        """True if the account has a confirmed factor, flagged ones included, or an unused code."""
        return self.has_totp or self.passkeys > 0 or self.recovery_codes_left > 0


@frozen()
class Enough:
    """Proofs that are enough for a session of this account.

    Args:
        level: the session's level.
        amr: its authentication methods (RFC 8176).
    """

    level: Level
    amr: tuple[str, ...]


@frozen()
class NeedsSecond:
    """Proofs that need a second one, by one of `methods`, in order; empty if none can do it."""

    methods: tuple[SecondStep, ...]


@frozen()
class NeedsEnrollment:
    """Proofs of an account that must set up a factor first, by one of these methods."""

    methods: tuple[SecondStep, ...]


Assessment = Enough | NeedsSecond | NeedsEnrollment

_FIRST_FACTORS = frozenset({Proof.PASSWORD, Proof.PROVIDER})
"""First factors: with a code of an app they are two factors."""

_SECOND_FACTORS = frozenset({Proof.TOTP, Proof.RECOVERY_CODE})


def worth(proofs: Collection[Proof], *, provider_level: Level = Level.AAL1) -> Level | None:
    """Return the level that a set of proofs reaches; None if it opens nothing.

    A mailbox is no authenticator (NIST SP 800-63B-4 §3.1.3.1), so a mailed code and a password are
    one factor. A user-verified passkey is two by itself, and phishing-resistant (§3.1.7). A
    provider's answer is one factor, unless the operator trusts its statement that it asked for two.

    Args:
        proofs: verified proofs.
        provider_level: what `Proof.PROVIDER` is worth by itself, `AAL2` at most: a provider's
            passkey protects its own pages from phishing, and not the way from there.
    """
    given = frozenset(proofs)
    if Proof.PASSKEY in given:
        return Level.PHR
    if given & _FIRST_FACTORS and given & _SECOND_FACTORS:
        return Level.AAL2
    if Proof.PROVIDER in given:
        return min(provider_level, Level.AAL2)
    if given & {Proof.PASSWORD, Proof.EMAIL_CODE}:
        return Level.AAL1
    return None


def is_mfa_required(settings: Settings, now: datetime) -> bool:
    """Return True if the settings ask every account for two factors by now."""
    enroll_by = settings.mfa_enroll_by
    return settings.mfa is Mfa.REQUIRED and (enroll_by is None or now >= enroll_by)


def need_of(*, mfa_enabled: bool, settings: Settings, now: datetime) -> Level:
    """Return the least level that a session of an account needs to be useful.

    Args:
        mfa_enabled: the account's own switch.
        settings, now: see `is_mfa_required`.
    """
    return Level.AAL2 if mfa_enabled or is_mfa_required(settings, now) else Level.AAL1


def assess(
    proofs: Collection[Proof],
    *,
    need: Level,
    factors: Factors,
    provider_level: Level = Level.AAL1,
) -> Assessment:
    """Return what a sign-in with these proofs leads to.

    Enrolment is offered only to an account without any factor and any unused code. Otherwise an
    account whose passkeys are flagged, or are of another RP ID, would be open to one proof alone.

    Args:
        proofs: verified proofs.
        need: see `need_of`.
        factors: those of the account; they have no effect if the proofs reach the need.
        provider_level: see `worth`.

    Raises:
        ValueError: the proofs open nothing by themselves.
    """
    level = worth(proofs, provider_level=provider_level)
    if level is None:
        raise ValueError("these proofs open no account")
    if level >= need:
        return Enough(level, amr_of(proofs, level))
    if factors.has_any:
        return NeedsSecond(second_steps(proofs, factors))
    return NeedsEnrollment(enrollments(proofs))


def second_steps(proofs: Collection[Proof], factors: Factors) -> tuple[SecondStep, ...]:
    """Return the methods that would raise these proofs to `AAL2` or above, in order."""
    takes_codes = can_add_code(proofs)
    offered = {
        SecondStep.PASSKEY: factors.usable_passkeys > 0,
        SecondStep.TOTP: takes_codes and factors.has_totp,
        SecondStep.RECOVERY_CODE: takes_codes and factors.recovery_codes_left > 0,
    }
    return tuple(method for method, is_offered in offered.items() if is_offered)


def enrollments(proofs: Collection[Proof]) -> tuple[SecondStep, ...]:
    """Return the factors with which an enrolment after these proofs reaches `AAL2`, in order."""
    return (SecondStep.PASSKEY, SecondStep.TOTP) if can_add_code(proofs) else (SecondStep.PASSKEY,)


def can_add_code(proofs: Collection[str]) -> bool:
    """Return True if a code of an app, or a recovery code, would be a second factor beside these.

    A mailbox is no factor, so after only a mailed code it would be the first one.

    Args:
        proofs: values of `Proof`, perhaps with `MULTIPLE_FACTORS`.
    """
    return not _FIRST_FACTORS.isdisjoint(proofs)


def after_enrollment(proofs: Collection[Proof], method: SecondStep) -> Enough:
    """Return what a sign-in is worth that has just confirmed its account's first factor.

    Registering a passkey, which without attestation signs nothing, counts like a TOTP code: `AAL2`,
    and not phishing-resistant.
    """
    given = {*proofs, Proof.TOTP} if method is SecondStep.TOTP else {*proofs}
    return Enough(Level.AAL2, amr_of(given, Level.AAL2))
