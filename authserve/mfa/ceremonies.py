"""The passkey ceremonies: decoding answers, loading keys, verifying signatures.

This is the only module that imports `fido2`, and only once a passkey is used: it takes 43 ms and
1.6 MB (measured), which a service without passkeys saves. The library decodes CBOR and COSE keys
and verifies signatures; every comparison is in `policy.py`. An answer goes through three steps:

1. `read_client_data` finds the challenge,
2. the caller redeems that challenge, so that it gets only one answer (`challenges.py`),
3. `check_registration` or `check_assertion` does the rest.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from cryptography.exceptions import InvalidSignature

from authserve.core.base64url import decode_base64url
from authserve.core.crypto import digest
from authserve.core.frozen import frozen
from authserve.http.json_body import parse_json
from authserve.mfa import policy
from authserve.mfa.answers import (
    AssertionAnswer,
    Attestation,
    AuthenticatorReport,
    ClientData,
    RegisteredPasskey,
    RegistrationAnswer,
    RelyingParty,
)
from authserve.mfa.policy import (
    Ceremony,
    PasskeyFault,
    PasskeyRefusedError,
)

if TYPE_CHECKING:
    from fido2.webauthn import AuthenticatorData


@frozen(kw_only=True)
class NewPasskey:
    """A credential that passed every check of its registration.

    Args:
        public_key: a COSE key in CBOR.
        transports: as the browser named them.
    """

    credential_id: bytes
    public_key: bytes
    algorithm: int
    aaguid: UUID
    sign_count: int
    is_backup_eligible: bool
    is_backed_up: bool
    transports: tuple[str, ...]


@frozen(kw_only=True)
class VerifiedAssertion:
    """An answer that passed every check but the one of the counter, which the row decides."""

    passkey: RegisteredPasskey
    sign_count: int
    is_backed_up: bool


def read_client_data(
    answer: RegistrationAnswer | AssertionAnswer, ceremony: Ceremony
) -> ClientData:
    """Return the client data of an answer, whose challenge the caller must accept next.

    Raises:
        PasskeyRefusedError: the ids or the types are not right, or it is not readable JSON.
    """
    policy.require_credential_id(answer)
    with _refusing_malformed():
        members = parse_json(answer.client_data)
        client_data = ClientData(
            type=members["type"],
            challenge=decode_base64url(members["challenge"]),
            origin=members["origin"],
            cross_origin=members.get("crossOrigin", False),
            has_top_origin="topOrigin" in members,
        )
    policy.require_type(answer, client_data, ceremony)
    return client_data


def check_registration(
    answer: RegistrationAnswer, client_data: ClientData, *, party: RelyingParty
) -> NewPasskey:
    """Check an answer to creation options, whose challenge has been accepted.

    Raises:
        PasskeyRefusedError: it breaks a rule of WebAuthn Level 3 §7.1.
    """
    with _refusing_malformed():
        attestation, public_key = _read_attestation(answer.attestation_object)
    policy.check_registration(answer, client_data, attestation, party=party)
    require_loadable(public_key)
    report = attestation.report
    return NewPasskey(
        credential_id=attestation.credential_id,
        public_key=public_key,
        algorithm=attestation.algorithm,
        aaguid=attestation.aaguid,
        sign_count=report.sign_count,
        is_backup_eligible=report.is_backup_eligible,
        is_backed_up=report.is_backed_up,
        transports=answer.transports,
    )


def check_assertion(
    answer: AssertionAnswer,
    client_data: ClientData,
    *,
    party: RelyingParty,
    passkey: RegisteredPasskey | None,
    account: UUID | None,
) -> VerifiedAssertion:
    """Check an answer to request options, whose challenge has been accepted.

    Args:
        passkey, account: see `policy.check_assertion`.

    Raises:
        PasskeyRefusedError: it breaks a rule of WebAuthn Level 3 §7.2.
    """
    with _refusing_malformed():
        report = _report(_read_authenticator_data(answer.authenticator_data))
    known = policy.check_assertion(
        answer, client_data, report, party=party, passkey=passkey, account=account
    )
    signed = answer.authenticator_data + digest(answer.client_data)
    if not _is_signature(known.public_key, signed, answer.signature):
        raise PasskeyRefusedError(PasskeyFault.SIGNATURE)
    return VerifiedAssertion(
        passkey=known, sign_count=report.sign_count, is_backed_up=report.is_backed_up
    )


@contextmanager
def _refusing_malformed() -> Iterator[None]:
    """Replace every exception of a decoder by one refusal.

    For hostile bytes the library raises ValueError, KeyError, IndexError, AttributeError,
    TypeError, struct.error and RecursionError (tried).
    """
    try:
        yield
    except Exception as error:
        raise PasskeyRefusedError(PasskeyFault.MALFORMED) from error


def _read_attestation(raw: bytes) -> tuple[Attestation, bytes]:
    """Return an attestation object, and its key in CBOR."""
    from fido2.webauthn import AttestationObject

    found = AttestationObject(raw)
    _require_whole(raw, AttestationObject.create(found.fmt, found.auth_data, found.att_stmt))
    data = _read_authenticator_data(bytes(found.auth_data))
    credential = data.credential_data
    if credential is None:
        raise ValueError("no credential was attested")
    attestation = Attestation(
        report=_report(data),
        credential_id=credential.credential_id,
        aaguid=UUID(bytes=bytes(credential.aaguid)),
        key=dict(credential.public_key),
        format=found.fmt,
        has_statement=found.att_stmt != {},
    )
    return attestation, _encode(credential.public_key)


def _read_authenticator_data(raw: bytes) -> "AuthenticatorData":
    from fido2.webauthn import AuthenticatorData

    data = AuthenticatorData(raw)
    again = AuthenticatorData.create(
        data.rp_id_hash, data.flags, data.counter, data.credential_data or b"", data.extensions
    )
    _require_whole(raw, again)
    return data


def _require_whole(raw: bytes, encoded: bytes) -> None:
    """Raise unless the bytes are those of what was read from them, in any order of labels.

    The library accepts strings that end too early and labels that occur twice; encoding again
    shows both. CTAP2's canonical CBOR fixes the order of labels too (WebAuthn Level 3 §3), but
    nothing depends on it, and some authenticators do not keep it.
    """
    if sorted(raw) != sorted(bytes(encoded)):
        raise ValueError("cut short, or a label twice")


def _report(data: "AuthenticatorData") -> AuthenticatorReport:
    return AuthenticatorReport(
        rp_id_hash=data.rp_id_hash,
        is_user_present=data.is_user_present(),
        is_user_verified=data.is_user_verified(),
        is_backup_eligible=data.is_backup_eligible(),
        is_backed_up=data.is_backed_up(),
        sign_count=data.counter,
    )


def _encode(key: Any) -> bytes:
    from fido2 import cbor

    return cbor.encode(key)


def require_loadable(public_key: bytes) -> None:
    """Refuse a COSE key that can verify nothing, for example a point that is not on its curve.

    Raises:
        PasskeyRefusedError: the key is of that kind.
    """
    try:
        _is_signature(public_key, b"", b"")
    except Exception as error:
        raise PasskeyRefusedError(PasskeyFault.KEY) from error


def _is_signature(public_key: bytes, signed: bytes, signature: bytes) -> bool:
    from fido2 import cbor
    from fido2.cose import CoseKey

    key = CoseKey.parse(cast("Mapping[int, Any]", cbor.decode(public_key)))
    try:
        key.verify(signed, signature)
    except InvalidSignature:
        return False
    return True


def is_public_suffix(domain: str) -> bool:
    """Return True if a domain is a public suffix, so no browser accepts it as an RP ID.

    The public suffix list is the library's (https://publicsuffix.org).
    """
    from fido2.rpid import verify_rp_id

    return not verify_rp_id(domain, f"https://www.{domain}")
