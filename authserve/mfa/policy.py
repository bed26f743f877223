"""The rules of the two passkey ceremonies (WebAuthn Level 3 §7.1 and §7.2), as pure comparisons.

`ceremonies.py` decodes a browser's answer and calls `check_registration` or `check_assertion`. Each
rule is one function, and the first that is broken is raised.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any
from uuid import UUID

from authserve.core.crypto import digest
from authserve.mfa.answers import (
    AssertionAnswer,
    Attestation,
    AuthenticatorReport,
    ClientData,
    RegisteredPasskey,
    RegistrationAnswer,
    RelyingParty,
)

ES256, EDDSA, RS256 = -7, -8, -257
ALGORITHMS = (ES256, EDDSA, RS256)
"""The COSE algorithms that are offered, in the order of preference: those that WebAuthn Level 3
§5.4 recommends. RS256 is for Windows Hello on old TPMs (ASVS 5.0 appendix C)."""

MAX_CREDENTIAL_ID_BYTES = 1023
"""WebAuthn Level 3 §7.1: longer credential ids are refused."""

NO_ATTESTATION = "none"
"""The attestation statement format without a statement (WebAuthn Level 3 §8.7)."""


class PasskeyFault(StrEnum):
    """The rules that an answer can break. They are for the log; clients do not learn them."""

    MALFORMED = "malformed"
    ID = "id"
    TYPE = "type"
    CHALLENGE = "challenge"
    ORIGIN = "origin"
    CROSS_ORIGIN = "cross_origin"
    RP_ID = "rp_id"
    USER_PRESENCE = "user_presence"
    USER_VERIFICATION = "user_verification"
    BACKUP_STATE = "backup_state"
    ATTESTATION = "attestation"
    ALGORITHM = "algorithm"
    KEY = "key"
    UNKNOWN = "unknown"
    OTHER_RP_ID = "other_rp_id"
    FLAGGED = "flagged"
    USER_HANDLE = "user_handle"
    BACKUP_ELIGIBILITY = "backup_eligibility"
    SIGNATURE = "signature"
    COUNTER = "counter"


class PasskeyRefusedError(Exception):
    """An answer of a browser that breaks a rule.

    Use cases replace it by an error of `mfa.errors`, whose status depends on the call.

    Args:
        fault: the rule.
    """

    def __init__(self, fault: PasskeyFault) -> None:
        super().__init__(fault)
        self.fault = fault


class Ceremony(StrEnum):
    """The two ceremonies, by the `type` of their client data (WebAuthn Level 3 §5.8.1)."""

    REGISTRATION = "webauthn.create"
    ASSERTION = "webauthn.get"


def require_credential_id(answer: RegistrationAnswer | AssertionAnswer) -> None:
    """Raise unless `id` and `rawId` are the same id of 1 to 1023 bytes."""
    is_sized = 1 <= len(answer.id) <= MAX_CREDENTIAL_ID_BYTES
    _require(is_sized and answer.id == answer.raw_id, PasskeyFault.ID)


def require_attested_id(answer: RegistrationAnswer, attestation: Attestation) -> None:
    """Raise unless the authenticator made the credential that the browser names."""
    _require(answer.raw_id == attestation.credential_id, PasskeyFault.ID)


PUBLIC_KEY = "public-key"
"""The only type of credentials (WebAuthn Level 3 §5.8.2)."""


def require_type(
    answer: RegistrationAnswer | AssertionAnswer, client_data: ClientData, ceremony: Ceremony
) -> None:
    """Raise unless the answer is one of this ceremony, to a public key credential."""
    is_right = answer.type == PUBLIC_KEY and client_data.type == ceremony.value
    _require(is_right, PasskeyFault.TYPE)


def require_origin(client_data: ClientData, party: RelyingParty) -> None:
    """Raise unless the origin is one of the list, compared whole: no sub-domain matches."""
    is_ours = isinstance(client_data.origin, str) and client_data.origin in party.origins
    _require(is_ours, PasskeyFault.ORIGIN)


def require_same_origin(client_data: ClientData) -> None:
    """Raise if the page that asked is a frame in a page of another origin."""
    is_top = client_data.cross_origin is False and not client_data.has_top_origin
    _require(is_top, PasskeyFault.CROSS_ORIGIN)


def require_rp_id(report: AuthenticatorReport, party: RelyingParty) -> None:
    """Raise unless the authenticator signed for our RP ID."""
    _require(report.rp_id_hash == digest(party.id.encode()), PasskeyFault.RP_ID)


def require_user_presence(report: AuthenticatorReport) -> None:
    """Raise unless the user touched the authenticator or did the like."""
    _require(report.is_user_present, PasskeyFault.USER_PRESENCE)


def require_user_verification(report: AuthenticatorReport) -> None:
    """Raise unless the authenticator verified its user: that makes a passkey two factors."""
    _require(report.is_user_verified, PasskeyFault.USER_VERIFICATION)


def require_backup_state(report: AuthenticatorReport) -> None:
    """Raise if a passkey that cannot be synced is said to be synced."""
    _require(report.is_backup_eligible or not report.is_backed_up, PasskeyFault.BACKUP_STATE)


def require_no_attestation(attestation: Attestation) -> None:
    """Raise if the format "none" has a statement.

    A statement of another format is ignored, since none was asked for: some browsers do not
    remove it, and an attacker who could not make one would send "none".
    """
    is_plain = attestation.format != NO_ATTESTATION or not attestation.has_statement
    _require(isinstance(attestation.format, str) and is_plain, PasskeyFault.ATTESTATION)


def require_offered_algorithm(attestation: Attestation) -> None:
    """Raise unless the key's algorithm is one of those that the options offered."""
    _require(attestation.algorithm in ALGORITHMS, PasskeyFault.ALGORITHM)


_KTY, _ALG, _CRV, _X, _Y = 1, 3, -1, -2, -3
_N, _E = -1, -2
"""Labels of COSE keys (RFC 9052 §7.1, RFC 9053 §7, RFC 8230 §4)."""

_CONSTANTS: Mapping[object, dict[int, object]] = {
    ES256: {_KTY: 2, _ALG: ES256, _CRV: 1},
    EDDSA: {_KTY: 1, _ALG: EDDSA, _CRV: 6},
    # The exponent of a TPM's keys; a large one would make each signature slow (chosen).
    RS256: {_KTY: 3, _ALG: RS256, _E: (65537).to_bytes(3)},
}
"""The members of a key that its algorithm determines."""

_VARIABLES = {ES256: (_X, _Y), EDDSA: (_X,), RS256: (_N,)}

_COORDINATE_BYTES = 32
_MODULUS_BITS = range(2048, 4096 + 1)
"""RFC 8812 §2 requires 2048 bits; the upper bound limits the work of a signature (chosen)."""


def require_key_form(attestation: Attestation) -> None:
    """Raise unless the key has exactly the members of its algorithm (WebAuthn Level 3 §6.5.1.1)."""
    key, algorithm = attestation.key, attestation.algorithm
    variables = {label: key.get(label) for label in _VARIABLES[algorithm]}
    is_complete = _typed(key) == _typed({**_CONSTANTS[algorithm], **variables})
    is_sized = all(_has_size(value, algorithm) for value in variables.values())
    _require(is_complete and is_sized, PasskeyFault.KEY)


def _typed(members: Mapping[Any, Any]) -> dict[Any, Any]:
    # In Python, and so in decoded CBOR, `True` equals 1.
    return {(type(label), label): (type(value), value) for label, value in members.items()}


def _has_size(value: object, algorithm: int) -> bool:
    if not isinstance(value, bytes):
        return False
    if algorithm == RS256:
        return int.from_bytes(value).bit_length() in _MODULUS_BITS
    return len(value) == _COORDINATE_BYTES


def require_known(passkey: RegisteredPasskey | None, account: UUID | None) -> RegisteredPasskey:
    """Return the passkey; raise if there is none, or if the account is known and another.

    Args:
        account: the account that a first step or a session has identified; None at a sign-in.
    """
    if passkey is None or account not in (None, passkey.user_id):
        raise PasskeyRefusedError(PasskeyFault.UNKNOWN)
    return passkey


def require_own_rp_id(passkey: RegisteredPasskey, party: RelyingParty) -> None:
    """Raise if the passkey was registered for another RP ID, before the setting changed."""
    _require(passkey.rp_id == party.id, PasskeyFault.OTHER_RP_ID)


def require_unflagged(passkey: RegisteredPasskey) -> None:
    """Raise while the passkey is suspected to be a clone."""
    _require(not passkey.is_flagged, PasskeyFault.FLAGGED)


def require_user_handle(
    answer: AssertionAnswer, passkey: RegisteredPasskey, account: UUID | None
) -> None:
    """Raise unless the user handle is the id of the passkey's account.

    It may be absent only if the account is known without it (WebAuthn Level 3 §7.2).
    """
    is_absent = answer.user_handle is None and account is not None
    is_right = is_absent or answer.user_handle == passkey.user_id.bytes
    _require(is_right, PasskeyFault.USER_HANDLE)


def require_constant_eligibility(report: AuthenticatorReport, passkey: RegisteredPasskey) -> None:
    """Raise if a passkey that could not be synced now can, or the reverse."""
    is_constant = report.is_backup_eligible == passkey.is_backup_eligible
    _require(is_constant, PasskeyFault.BACKUP_ELIGIBILITY)


def check_registration(
    answer: RegistrationAnswer,
    client_data: ClientData,
    attestation: Attestation,
    *,
    party: RelyingParty,
) -> None:
    """Check an answer to creation options, whose challenge has been accepted.

    Raises:
        PasskeyRefusedError: it breaks a rule of WebAuthn Level 3 §7.1.
    """
    require_attested_id(answer, attestation)
    _check_ceremony(client_data, attestation.report, party)
    require_no_attestation(attestation)
    require_offered_algorithm(attestation)
    require_key_form(attestation)


def check_assertion(
    answer: AssertionAnswer,
    client_data: ClientData,
    report: AuthenticatorReport,
    *,
    party: RelyingParty,
    passkey: RegisteredPasskey | None,
    account: UUID | None,
) -> RegisteredPasskey:
    """Check an answer to request options, whose challenge has been accepted, but not its signature.

    Args:
        passkey: the one with the answer's id, if any.
        account: the account that a first step or a session has identified; None at a sign-in,
            where the user handle identifies it.

    Returns:
        The passkey, whose key must verify the signature.

    Raises:
        PasskeyRefusedError: it breaks a rule of WebAuthn Level 3 §7.2.
    """
    _check_ceremony(client_data, report, party)
    passkey = require_known(passkey, account)
    require_own_rp_id(passkey, party)
    require_unflagged(passkey)
    require_user_handle(answer, passkey, account)
    require_constant_eligibility(report, passkey)
    return passkey


def _check_ceremony(
    client_data: ClientData, report: AuthenticatorReport, party: RelyingParty
) -> None:
    require_origin(client_data, party)
    require_same_origin(client_data)
    require_rp_id(report, party)
    require_user_presence(report)
    require_user_verification(report)
    require_backup_state(report)


def _require(is_kept: bool, fault: PasskeyFault) -> None:
    if not is_kept:
        raise PasskeyRefusedError(fault)
