"""The assessment: what proofs are worth, what an account needs, and what is offered."""

from datetime import UTC, datetime, timedelta
from itertools import combinations
from pathlib import Path

import pytest

from authserve.core.levels import Level, Proof, amr_of, level_named
from authserve.mfa.assurance import (
    Enough,
    Factors,
    NeedsEnrollment,
    NeedsSecond,
    SecondStep,
    after_enrollment,
    assess,
    is_mfa_required,
    need_of,
    worth,
)
from authserve.settings.model import Mfa, Settings

PWD, OTP, RCV, POP, EMAIL, FED = (
    Proof.PASSWORD,
    Proof.TOTP,
    Proof.RECOVERY_CODE,
    Proof.PASSKEY,
    Proof.EMAIL_CODE,
    Proof.PROVIDER,
)

WORTH = {
    (): None,
    (PWD,): Level.AAL1,
    (EMAIL,): Level.AAL1,
    (FED,): Level.AAL1,
    (OTP,): None,
    (RCV,): None,
    (OTP, RCV): None,
    (PWD, EMAIL): Level.AAL1,
    (PWD, FED): Level.AAL1,
    (EMAIL, OTP): Level.AAL1,
    (FED, OTP): Level.AAL2,
    (FED, RCV): Level.AAL2,
    (FED, EMAIL): Level.AAL1,
    (FED, POP): Level.PHR,
    (PWD, OTP): Level.AAL2,
    (PWD, RCV): Level.AAL2,
    (POP,): Level.PHR,
    (PWD, POP): Level.PHR,
}


@pytest.mark.parametrize(("proofs", "level"), WORTH.items(), ids=str)
def test_a_set_of_proofs_is_worth(proofs: tuple[Proof, ...], level: Level | None) -> None:
    assert worth(proofs) is level


def test_another_proof_never_lowers_the_worth() -> None:
    for size in range(len(Proof)):
        for proofs in combinations(Proof, size):
            for more in Proof:
                assert (worth({*proofs, more}) or 0) >= (worth(proofs) or 0)


def test_every_set_with_a_passkey_is_phishing_resistant() -> None:
    for size in range(len(Proof) + 1):
        for proofs in combinations(Proof, size):
            assert (worth(proofs) is Level.PHR) == (POP in proofs)


@pytest.mark.parametrize(
    ("proofs", "provider_level", "level"),
    [
        ((FED,), Level.AAL2, Level.AAL2),
        # A provider's passkey protects its own pages only.
        ((FED,), Level.PHR, Level.AAL2),
        ((FED, OTP), Level.AAL1, Level.AAL2),
        ((PWD,), Level.AAL2, Level.AAL1),
        ((EMAIL,), Level.AAL2, Level.AAL1),
        ((OTP,), Level.AAL2, None),
    ],
)
def test_a_trusted_provider_vouches_for_its_own_sign_in_alone(
    proofs: tuple[Proof, ...], provider_level: Level, level: Level | None
) -> None:
    assert worth(proofs, provider_level=provider_level) is level


def test_a_trusted_provider_spares_the_second_step() -> None:
    found = assess((FED,), need=Level.AAL2, factors=ALL, provider_level=Level.AAL2)
    assert found == Enough(Level.AAL2, ("fed", "mfa"))


START = datetime(2026, 11, 27, 12, tzinfo=UTC)


def make_settings(mfa: Mfa, enroll_by: datetime | None) -> Settings:
    return Settings(
        secret_key="x",
        database_url="sqlite://",
        instance_path=Path(),
        mfa=mfa,
        mfa_enroll_by=enroll_by,
    )


@pytest.mark.parametrize(
    ("mfa", "enroll_by", "is_required"),
    [
        (Mfa.OFF, None, False),
        (Mfa.OPTIONAL, None, False),
        (Mfa.OPTIONAL, START, False),
        (Mfa.REQUIRED, None, True),
        (Mfa.REQUIRED, START, True),
        (Mfa.REQUIRED, START + timedelta(microseconds=1), False),
    ],
)
def test_the_settings_require_it(mfa: Mfa, enroll_by: datetime | None, is_required: bool) -> None:
    settings = make_settings(mfa, enroll_by)
    assert is_mfa_required(settings, START) is is_required
    need = Level.AAL2 if is_required else Level.AAL1
    assert need_of(mfa_enabled=False, settings=settings, now=START) is need
    assert need_of(mfa_enabled=True, settings=settings, now=START) is Level.AAL2


NONE, ALL = Factors(), Factors(has_totp=True, usable_passkeys=1, passkeys=2, recovery_codes_left=9)
FLAGGED, CODES = Factors(passkeys=1), Factors(recovery_codes_left=1)


@pytest.mark.parametrize(
    ("factors", "level"),
    [
        (NONE, Level.AAL1),
        (FLAGGED, Level.AAL1),
        (CODES, Level.AAL1),
        (Factors(has_totp=True), Level.AAL2),
        (Factors(usable_passkeys=1, passkeys=1), Level.PHR),
        (ALL, Level.PHR),
    ],
    ids=["none", "flagged passkey", "codes", "totp", "passkey", "all"],
)
def test_the_best_factor_is_the_level_that_can_be_reached(factors: Factors, level: Level) -> None:
    assert factors.reached_level is level


@pytest.mark.parametrize(
    ("proofs", "need", "factors", "expected"),
    [
        ((PWD,), Level.AAL1, ALL, Enough(Level.AAL1, ("pwd",))),
        ((PWD, OTP), Level.AAL2, ALL, Enough(Level.AAL2, ("otp", "pwd", "mfa"))),
        ((PWD, RCV), Level.AAL2, NONE, Enough(Level.AAL2, ("pwd", "rcv", "mfa"))),
        ((POP,), Level.AAL2, NONE, Enough(Level.PHR, ("pop", "mfa"))),
        ((POP,), Level.AAL1, NONE, Enough(Level.PHR, ("pop", "mfa"))),
        ((PWD,), Level.AAL2, ALL, NeedsSecond(tuple(SecondStep))),
        ((PWD,), Level.AAL2, CODES, NeedsSecond((SecondStep.RECOVERY_CODE,))),
        ((PWD,), Level.AAL2, FLAGGED, NeedsSecond(())),
        ((EMAIL,), Level.AAL2, ALL, NeedsSecond((SecondStep.PASSKEY,))),
        ((PWD,), Level.AAL2, NONE, NeedsEnrollment((SecondStep.PASSKEY, SecondStep.TOTP))),
        ((EMAIL,), Level.AAL2, NONE, NeedsEnrollment((SecondStep.PASSKEY,))),
        ((FED,), Level.AAL1, ALL, Enough(Level.AAL1, ("fed",))),
        ((FED,), Level.AAL2, ALL, NeedsSecond(tuple(SecondStep))),
        ((FED,), Level.AAL2, FLAGGED, NeedsSecond(())),
        ((FED,), Level.AAL2, NONE, NeedsEnrollment((SecondStep.PASSKEY, SecondStep.TOTP))),
        ((FED, RCV), Level.AAL2, CODES, Enough(Level.AAL2, ("fed", "rcv", "mfa"))),
    ],
)
def test_the_assessment(
    proofs: tuple[Proof, ...], need: Level, factors: Factors, expected: object
) -> None:
    assert assess(proofs, need=need, factors=factors) == expected


@pytest.mark.parametrize("proofs", [(), (OTP,), (RCV,)])
def test_what_opens_nothing_is_not_assessed(proofs: tuple[Proof, ...]) -> None:
    with pytest.raises(ValueError, match="open no account"):
        assess(proofs, need=Level.AAL1, factors=ALL)


def test_an_enrolment_is_two_factors_and_not_phishing_resistant() -> None:
    totp = after_enrollment({PWD, EMAIL}, SecondStep.TOTP)
    assert totp == Enough(Level.AAL2, ("email", "otp", "pwd", "mfa"))
    passkey = after_enrollment({PWD, EMAIL}, SecondStep.PASSKEY)
    assert passkey == Enough(Level.AAL2, ("email", "pwd", "mfa"))
    provider = after_enrollment({FED, EMAIL}, SecondStep.TOTP)
    assert provider == Enough(Level.AAL2, ("email", "fed", "otp", "mfa"))


def test_amr_tells_several_factors_last_and_once() -> None:
    assert amr_of(["pwd"], Level.AAL1) == ("pwd",)
    assert amr_of(["pwd", "otp", "mfa", "pwd"], Level.AAL2) == ("otp", "pwd", "mfa")
    assert amr_of(["pop"], Level.PHR) == ("pop", "mfa")


def test_the_levels_are_those_of_the_column_and_of_acr() -> None:
    assert [(level.value, level.acr) for level in Level] == [(1, "aal1"), (2, "aal2"), (3, "phr")]


def test_a_token_states_a_level_by_its_acr_or_as_the_release_before_by_its_amr() -> None:
    assert [level_named(level.acr, ["pwd"]) for level in Level] == list(Level)
    assert level_named("phrh", ["pop", "mfa"]) is Level.AAL1
    assert level_named(None, ["pwd"]) is Level.AAL1
    assert level_named(None, ["otp", "pwd", "mfa"]) is Level.AAL2
