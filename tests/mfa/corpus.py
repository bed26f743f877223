"""Answers of the two passkey ceremonies with one fault each, and the rule that refuses each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import cbor2
from marshmallow import ValidationError

from authserve.core.ids import new_id
from authserve.mfa.answers import (
    RegisteredPasskey,
    RelyingParty,
)
from authserve.mfa.ceremonies import (
    NewPasskey,
    VerifiedAssertion,
    check_assertion,
    check_registration,
    read_client_data,
)
from authserve.mfa.credential_schemas import AssertionCredentialSchema, RegistrationCredentialSchema
from authserve.mfa.policy import (
    Ceremony,
    PasskeyFault,
    PasskeyRefusedError,
)
from tests.support.authenticator import (
    AT,
    BE,
    BS,
    ED,
    UP,
    UV,
    Authenticator,
    Faults,
)
from tests.support.tokens import decode, encode

RP_ID, ORIGIN = "example.com", "https://login.example.com"
PARTY = RelyingParty(RP_ID, (ORIGIN, "android:apk-key-hash:" + "A" * 43))
USER_ID = new_id()
CHALLENGE = bytes(range(56))
CREDENTIAL_ID = bytes(range(16))
OPTIONS = {
    "rp": {"id": RP_ID},
    "user": {"id": encode(USER_ID.bytes)},
    "challenge": encode(CHALLENGE),
}

RULE = PasskeyFault


def require_challenge(challenge: bytes) -> None:
    if challenge != CHALLENGE:
        raise PasskeyRefusedError(RULE.CHALLENGE)


def our_registration(answer: dict[str, Any]) -> NewPasskey:
    """Return this service's verdict on an answer to creation options."""
    loaded = RegistrationCredentialSchema().load(answer)
    client_data = read_client_data(loaded, Ceremony.REGISTRATION)
    require_challenge(client_data.challenge)
    return check_registration(loaded, client_data, party=PARTY)


def our_assertion(
    answer: dict[str, Any], passkey: RegisteredPasskey | None, account: UUID | None = None
) -> VerifiedAssertion:
    """Return this service's verdict on an answer to request options."""
    loaded = AssertionCredentialSchema().load(answer)
    client_data = read_client_data(loaded, Ceremony.ASSERTION)
    require_challenge(client_data.challenge)
    if loaded.raw_id != CREDENTIAL_ID:
        passkey = None
    return check_assertion(loaded, client_data, party=PARTY, passkey=passkey, account=account)


def refusal(check: Callable[..., object], *arguments: Any) -> object:
    """The rule for which an answer is refused, ValidationError for 422, or None if accepted."""
    try:
        check(*arguments)
    except PasskeyRefusedError as error:
        return error.fault
    except ValidationError:
        return ValidationError
    return None


def authenticator(algorithm: int = -7, **changes: Any) -> Authenticator:
    return Authenticator(ORIGIN, algorithm, credential_id=CREDENTIAL_ID, **changes)


def registered(key: Authenticator, **changes: Any) -> RegisteredPasskey:
    """The row of a passkey that was registered."""
    made = our_registration(key.create(OPTIONS))
    passkey = RegisteredPasskey(
        id=new_id(),
        user_id=USER_ID,
        public_key=made.public_key,
        rp_id=RP_ID,
        is_backup_eligible=made.is_backup_eligible,
        is_flagged=False,
    )
    return replace(passkey, **changes)


def without(bit: int) -> Callable[[int], int]:
    return lambda flags: flags & ~bit


def having(bit: int) -> Callable[[int], int]:
    return lambda flags: flags | bit


def nested(levels: int) -> bytes:
    """Lists in lists, of one element each."""
    return b"\x81" * levels + b"\x80"


def rsa_of(bits: int, exponent: bytes = b"\x01\x00\x01") -> dict[int, Any]:
    modulus = (2 ** (bits - 1) + 1).to_bytes((bits + 7) // 8)
    return {1: 3, 3: -257, -1: modulus, -2: exponent, -3: None}


def twice(parts: dict[str, Any]) -> bytes:
    """An attestation object with its format twice."""
    return b"\xa4" + cbor2.dumps("fmt") + cbor2.dumps("none") + cbor2.dumps(parts)[1:]


CEREMONY_FAULTS: dict[str, tuple[object, Faults]] = {
    "an id that is no text": (ValidationError, Faults(credential={"id": 5})),
    "an id with padding": (
        ValidationError,
        Faults(credential={"id": encode(CREDENTIAL_ID) + "=="}),
    ),
    "an id with a bit too many": (
        ValidationError,
        Faults(credential={"id": encode(CREDENTIAL_ID)[:-1] + "x"}),
    ),
    "no raw id": (ValidationError, Faults(credential={"rawId": None})),
    "a raw id of 1024 bytes": (ValidationError, Faults(credential={"rawId": encode(bytes(1024))})),
    "a response that is a list": (ValidationError, Faults(credential={"response": []})),
    "client data of 5 kB": (ValidationError, Faults(response={"clientDataJSON": "A" * 6827})),
    "client data that is not base64url": (
        ValidationError,
        Faults(response={"clientDataJSON": "e30/+"}),
    ),
    "empty ids": (RULE.ID, Faults(credential={"id": "", "rawId": ""})),
    "two ids": (RULE.ID, Faults(credential={"rawId": encode(bytes(16))})),
    "a password": (RULE.TYPE, Faults(credential={"type": "password"})),
    "the other ceremony": (RULE.TYPE, Faults(client_data={"type": "payment.get"})),
    "a type that is a number": (RULE.TYPE, Faults(client_data={"type": 1})),
    "no type": (RULE.MALFORMED, Faults(client_data={"type": None})),
    "another challenge": (RULE.CHALLENGE, Faults(client_data={"challenge": encode(bytes(56))})),
    "half a challenge": (
        RULE.CHALLENGE,
        Faults(client_data={"challenge": encode(CHALLENGE[:28])}),
    ),
    "a challenge with padding": (
        RULE.MALFORMED,
        Faults(client_data={"challenge": encode(CHALLENGE) + "="}),
    ),
    "a challenge that is a number": (RULE.MALFORMED, Faults(client_data={"challenge": 5})),
    "no challenge": (RULE.MALFORMED, Faults(client_data={"challenge": None})),
    "a sub-domain": (RULE.ORIGIN, Faults(client_data={"origin": "https://evil.login.example.com"})),
    "the domain above": (RULE.ORIGIN, Faults(client_data={"origin": "https://example.com"})),
    "another domain": (RULE.ORIGIN, Faults(client_data={"origin": "https://example.org"})),
    "no TLS": (RULE.ORIGIN, Faults(client_data={"origin": "http://login.example.com"})),
    "another port": (RULE.ORIGIN, Faults(client_data={"origin": f"{ORIGIN}:8443"})),
    "a path": (RULE.ORIGIN, Faults(client_data={"origin": f"{ORIGIN}/"})),
    "a longer origin": (RULE.ORIGIN, Faults(client_data={"origin": f"{ORIGIN}.evil.example"})),
    "another app": (
        RULE.ORIGIN,
        Faults(client_data={"origin": "android:apk-key-hash:" + "B" * 43}),
    ),
    "several origins": (RULE.ORIGIN, Faults(client_data={"origin": [ORIGIN]})),
    "no origin": (RULE.MALFORMED, Faults(client_data={"origin": None})),
    "a frame of another origin": (RULE.CROSS_ORIGIN, Faults(client_data={"crossOrigin": True})),
    "crossOrigin as a number": (RULE.CROSS_ORIGIN, Faults(client_data={"crossOrigin": 0})),
    "crossOrigin as a text": (RULE.CROSS_ORIGIN, Faults(client_data={"crossOrigin": "false"})),
    "a page around the frame": (
        RULE.CROSS_ORIGIN,
        Faults(client_data={"topOrigin": "https://example.org"}),
    ),
    "client data that is not JSON": (RULE.MALFORMED, Faults(client_data=lambda _: b"{")),
    "client data that is a list": (RULE.MALFORMED, Faults(client_data=lambda _: b"[]")),
    "client data that is not UTF-8": (RULE.MALFORMED, Faults(client_data=lambda _: b'"\xff"')),
    "client data nested deep": (RULE.MALFORMED, Faults(client_data=lambda _: b"[" * 4000)),
    "client data with a type twice": (
        RULE.MALFORMED,
        Faults(
            client_data=lambda members: (
                b'{"type": "webauthn.create", "type": "webauthn.get", '
                + str(members).replace("'", '"').replace("False", "false").encode()[1:]
            )
        ),
    ),
    "another RP ID": (RULE.RP_ID, Faults(rp_id="example.org")),
    "the RP ID of a sub-domain": (RULE.RP_ID, Faults(rp_id="login.example.com")),
    "no user": (RULE.USER_PRESENCE, Faults(flags=without(UP))),
    "an unverified user": (RULE.USER_VERIFICATION, Faults(flags=without(UV))),
    "synced but not syncable": (RULE.BACKUP_STATE, Faults(flags=having(BS))),
    "data that ends early": (RULE.MALFORMED, Faults(authenticator_data=lambda data: data[:36])),
    "data with something behind": (
        RULE.MALFORMED,
        Faults(authenticator_data=lambda data: data + b"\0"),
    ),
    "extensions announced and missing": (RULE.MALFORMED, Faults(flags=having(ED))),
    "extensions that end early": (
        RULE.MALFORMED,
        Faults(flags=having(ED), authenticator_data=lambda data: data + b"\xa1\x61a\x42a"),
    ),
    "extensions nested deep": (
        RULE.MALFORMED,
        Faults(flags=having(ED), authenticator_data=lambda data: data + nested(1_200)),
    ),
}
"""Faults of either ceremony: the rule that refuses each, or ValidationError for 422."""

REGISTRATION_FAULTS: dict[str, tuple[object, Faults]] = {
    "an attestation object of 17 kB": (
        ValidationError,
        Faults(response={"attestationObject": "A" * 23_000}),
    ),
    "transports as a text": (ValidationError, Faults(response={"transports": "usb"})),
    "another attested id": (RULE.ID, Faults(credential_id=bytes(16))),
    "an empty attested id": (RULE.ID, Faults(credential_id=b"")),
    "no attested credential": (
        RULE.MALFORMED,
        Faults(flags=without(AT), authenticator_data=lambda data: data[:37]),
    ),
    "an unannounced credential": (RULE.MALFORMED, Faults(flags=without(AT))),
    "none with a statement": (RULE.ATTESTATION, Faults(attestation={"attStmt": {"sig": b"x"}})),
    "a format that is a number": (RULE.ATTESTATION, Faults(attestation={"fmt": 5})),
    "no format": (RULE.MALFORMED, Faults(attestation={"fmt": None})),
    "no statement": (RULE.MALFORMED, Faults(attestation={"attStmt": None})),
    "no authenticator data": (RULE.MALFORMED, Faults(attestation={"authData": None})),
    "authenticator data as text": (RULE.MALFORMED, Faults(attestation={"authData": "text"})),
    "an object that is a list": (RULE.MALFORMED, Faults(attestation=lambda _: b"\x80")),
    "an empty object": (RULE.MALFORMED, Faults(attestation=lambda _: b"")),
    "an object with something behind": (
        RULE.MALFORMED,
        Faults(attestation=lambda parts: cbor2.dumps(parts) + b"\0"),
    ),
    "an object that ends early": (
        RULE.MALFORMED,
        Faults(attestation=lambda parts: cbor2.dumps(parts)[:-1]),
    ),
    "an object with a label twice": (RULE.MALFORMED, Faults(attestation=twice)),
    "an object nested deep": (RULE.MALFORMED, Faults(attestation=lambda _: nested(12_000))),
    "an object of 2^63 members": (
        RULE.MALFORMED,
        Faults(attestation=lambda _: b"\xbb\x7f" + b"\xff" * 7),
    ),
    "an algorithm that was not offered": (RULE.ALGORITHM, Faults(key={3: -35})),
    "RSA with SHA-1": (RULE.ALGORITHM, Faults(key={3: -65535})),
    "an algorithm as text": (RULE.ALGORITHM, Faults(key={3: "ES256"})),
    "no algorithm": (RULE.MALFORMED, Faults(key={3: None})),
    "a key that is a list": (RULE.MALFORMED, Faults(key=lambda _: [1, 2])),
    "a key of another type": (RULE.KEY, Faults(key={1: 3})),
    "a type of key that is true": (RULE.KEY, Faults(key={-1: True})),
    "another curve": (RULE.KEY, Faults(key={-1: 2})),
    "no curve": (RULE.KEY, Faults(key={-1: None})),
    "half a point": (RULE.KEY, Faults(key={-3: None})),
    "a short coordinate": (RULE.KEY, Faults(key={-2: bytes(31)})),
    "a coordinate as text": (RULE.KEY, Faults(key={-2: "x" * 32})),
    "a point off its curve": (RULE.KEY, Faults(key={-3: bytes(31) + b"\x05"})),
    "a coordinate beyond the field": (RULE.KEY, Faults(key={-2: b"\xff" * 32})),
    "a key with its private part": (RULE.KEY, Faults(key={-4: bytes(32)})),
    "an Edwards key said to be ES256": (
        RULE.KEY,
        Faults(key=lambda _: {1: 1, 3: -7, -1: 6, -2: bytes(32)}),
    ),
    "an Edwards key of 31 bytes": (
        RULE.KEY,
        Faults(key=lambda _: {1: 1, 3: -8, -1: 6, -2: bytes(31)}),
    ),
    "RSA of 2047 bits": (RULE.KEY, Faults(key=rsa_of(2047))),
    "RSA of 4097 bits": (RULE.KEY, Faults(key=rsa_of(4097))),
    "RSA with the exponent 1": (RULE.KEY, Faults(key=rsa_of(2048, b"\x01"))),
    "RSA with a large exponent": (RULE.KEY, Faults(key=rsa_of(2048, b"\xff" * 255))),
}

ASSERTION_FAULTS: dict[str, tuple[object, Faults]] = {
    "a signature of 2 kB": (ValidationError, Faults(response={"signature": "A" * 2732})),
    "authenticator data of 3 kB": (
        ValidationError,
        Faults(response={"authenticatorData": "A" * 4096}),
    ),
    "no signature": (ValidationError, Faults(response={"signature": None})),
    "a user handle as a number": (ValidationError, Faults(response={"userHandle": 5})),
    "an unknown id": (
        RULE.UNKNOWN,
        Faults(credential={"id": encode(bytes(16)), "rawId": encode(bytes(16))}),
    ),
    "another user's handle": (RULE.USER_HANDLE, Faults(response={"userHandle": encode(bytes(16))})),
    "no user handle": (RULE.USER_HANDLE, Faults(response={"userHandle": None})),
    "syncable all of a sudden": (RULE.BACKUP_ELIGIBILITY, Faults(flags=having(BE))),
    "an empty signature": (RULE.SIGNATURE, Faults(signature=lambda _: b"")),
    "a signature with a bit flipped": (
        RULE.SIGNATURE,
        Faults(signature=lambda found: found[:-1] + bytes([found[-1] ^ 1])),
    ),
    "a signature that ends early": (RULE.SIGNATURE, Faults(signature=lambda found: found[:-1])),
    "a signature of other data": (
        RULE.SIGNATURE,
        Faults(
            response=lambda parts: {
                **parts,
                "authenticatorData": encode(
                    decode(parts["authenticatorData"])[:-1] + b"\x09",
                ),
            }
        ),
    ),
}
