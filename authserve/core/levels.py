"""Levels of sessions, and the proofs that a user gives to reach one."""

from collections.abc import Collection
from enum import IntEnum, StrEnum


class Level(IntEnum):
    """The assurance of a session's sign-in; a greater level includes the lesser ones.

    The names follow NIST SP 800-63B-4: `AAL1` is one factor, `AAL2` two. `PHR` is a
    phishing-resistant sign-in; its `acr` is the name that OpenID's Extended Authentication Profile
    ACR Values 1.0 registers. The numbers are those of the column `sessions.aal`.

    Attributes:
        acr: the value of the claim `acr`.
    """

    AAL1 = 1
    AAL2 = 2
    PHR = 3

    acr: str

    def __init__(self, _number: int) -> None:
        self.acr = self.name.lower()


class Proof(StrEnum):
    """A kind of proof, by its name in the claim `amr`.

    The names are those of RFC 8176 where it has one; it has none for a mailed code, a recovery code
    and another provider.
    """

    PASSWORD = "pwd"
    TOTP = "otp"
    RECOVERY_CODE = "rcv"
    PASSKEY = "pop"
    EMAIL_CODE = "email"
    PROVIDER = "fed"


MULTIPLE_FACTORS = "mfa"
"""In `amr` of a session from `AAL2` on (RFC 8176 §2)."""


def amr_of(proofs: Collection[str], level: Level) -> tuple[str, ...]:
    """Return the authentication methods of a session (RFC 8176), sorted but for the last.

    Args:
        proofs: the values of `Proof` that were given, perhaps with `MULTIPLE_FACTORS`.
        level: what they reached.
    """
    names = sorted({*proofs} - {MULTIPLE_FACTORS})
    return (*names, MULTIPLE_FACTORS) if level > Level.AAL1 else tuple(names)


def level_named(acr: object, amr: Collection[str]) -> Level:
    """Return the level that an access token states.

    Args:
        acr: the claim; None in a token of the release before levels, whose `amr` shows it.
        amr: the claim.

    Returns:
        `AAL1` for a value that this release does not know.
    """
    if acr is None:
        return Level.AAL2 if MULTIPLE_FACTORS in amr else Level.AAL1
    return next((level for level in Level if level.acr == acr), Level.AAL1)
