"""A passkey authenticator and its browser in Python, which can break every rule."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from uuid import UUID

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

from authserve.core.crypto import random_bytes
from tests.support.tokens import decode, encode

UP, UV, BE, BS, AT, ED = 0x01, 0x04, 0x08, 0x10, 0x40, 0x80

AAGUID = UUID("adce0002-35bc-c60a-648b-0b25f1f05503")
"""Chrome on a Mac."""

PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey

Change = Callable[[Any], Any]


RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
"""One for all tests, since it takes a tenth of a second to make."""


def new_key(algorithm: int) -> PrivateKey:
    """Return a private key of a COSE algorithm."""
    if algorithm == -7:
        return ec.generate_private_key(ec.SECP256R1())
    return ed25519.Ed25519PrivateKey.generate() if algorithm == -8 else RSA_KEY


def cose_key(private: PrivateKey) -> dict[int, Any]:
    """Return the public part as a COSE key."""
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return {1: 1, 3: -8, -1: 6, -2: private.public_key().public_bytes_raw()}
    if isinstance(private, rsa.RSAPrivateKey):
        numbers = private.public_key().public_numbers()
        return {1: 3, 3: -257, -1: numbers.n.to_bytes(256), -2: numbers.e.to_bytes(3)}
    point = private.public_key().public_numbers()
    return {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32), -3: point.y.to_bytes(32)}


def sign(private: PrivateKey, message: bytes) -> bytes:
    """Return the signature of a message as the key's algorithm makes it."""
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return private.sign(message)
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(message, padding.PKCS1v15(), SHA256())
    return private.sign(message, ec.ECDSA(SHA256()))


@dataclass
class Faults:
    """The faults of an answer: each changes a part before it is encoded.

    A mapping replaces members, `None` removes one; a function gets the part and returns another.
    """

    client_data: Mapping[str, Any] | Change = field(default_factory=dict)
    flags: Change = int
    rp_id: str | None = None
    credential_id: bytes | None = None
    key: Mapping[Any, Any] | Change = field(default_factory=dict)
    authenticator_data: Change = bytes
    attestation: Mapping[str, Any] | Change = field(default_factory=dict)
    signature: Change = bytes
    response: Mapping[str, Any] | Change = field(default_factory=dict)
    credential: Mapping[str, Any] | Change = field(default_factory=dict)


def changed(part: dict[Any, Any], change: Mapping[Any, Any] | Change) -> Any:
    """Return a part with a fault's change."""
    if callable(change):
        return change(part)
    return {key: value for key, value in {**part, **change}.items() if value is not None}


@dataclass
class Authenticator:
    """One passkey of one user.

    Args:
        origin: of the page that asks.
        sign_count: counts up by one at each use, unless `step` is another.
        flags: BE and BS, for a passkey that is synced.
    """

    origin: str
    algorithm: int = -7
    sign_count: int = 0
    step: int = 1
    flags: int = 0
    credential_id: bytes = field(default_factory=random_bytes)
    rp_id: str = ""
    user_handle: bytes = b""

    def __post_init__(self) -> None:
        """Make the key."""
        self.private = new_key(self.algorithm)

    def create(self, options: dict[str, Any], faults: Faults | None = None) -> dict[str, Any]:
        """Return the answer to creation options, as a browser's `toJSON()` has it."""
        faults = faults or Faults()
        self.rp_id, self.user_handle = options["rp"]["id"], decode(options["user"]["id"])
        attested_id = self.credential_id if faults.credential_id is None else faults.credential_id
        key = changed(cose_key(self.private), faults.key)
        credential = b"".join(
            (AAGUID.bytes, len(attested_id).to_bytes(2), attested_id, cbor2.dumps(key))
        )
        data = self._authenticator_data(AT, credential, faults)
        parts = {"fmt": "none", "attStmt": {}, "authData": data}
        attestation = changed(parts, faults.attestation)
        raw = attestation if isinstance(attestation, bytes) else cbor2.dumps(attestation)
        response = {
            "clientDataJSON": self._client_data("webauthn.create", options, faults),
            "attestationObject": encode(raw),
            "transports": ["internal", "hybrid"],
        }
        return self._credential(response, faults)

    def get(self, options: dict[str, Any], faults: Faults | None = None) -> dict[str, Any]:
        """Return the answer to request options."""
        faults = faults or Faults()
        self.sign_count += self.step
        data = self._authenticator_data(0, b"", faults)
        client_data = self._client_data("webauthn.get", options, faults)
        signature = sign(self.private, data + sha256(decode(client_data)).digest())
        response = {
            "clientDataJSON": client_data,
            "authenticatorData": encode(data),
            "signature": encode(faults.signature(signature)),
            "userHandle": encode(self.user_handle),
        }
        return self._credential(response, faults)

    def _authenticator_data(self, flags: int, credential: bytes, faults: Faults) -> bytes:
        rp_id = self.rp_id if faults.rp_id is None else faults.rp_id
        found = faults.flags(UP | UV | self.flags | flags)
        head = sha256(rp_id.encode()).digest() + bytes([found]) + self.sign_count.to_bytes(4)
        data: bytes = faults.authenticator_data(head + credential)
        return data

    def _client_data(self, kind: str, options: dict[str, Any], faults: Faults) -> str:
        members = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        found = changed({**members, "crossOrigin": False}, faults.client_data)
        raw = found if isinstance(found, bytes) else json.dumps(found).encode()
        return encode(raw)

    def _credential(self, response: dict[str, Any], faults: Faults) -> dict[str, Any]:
        credential = {
            "id": encode(self.credential_id),
            "rawId": encode(self.credential_id),
            "type": "public-key",
            "authenticatorAttachment": "platform",
            "clientExtensionResults": {"credProps": {"rk": True}},
            "response": changed(response, faults.response),
        }
        answer: dict[str, Any] = changed(credential, faults.credential)
        return answer
