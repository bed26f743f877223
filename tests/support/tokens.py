"""Tokens taken apart, changed, and signed anew with the service's own keys."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from flask import Flask
from jwt.algorithms import ECAlgorithm, HMACAlgorithm

from authserve.core.crypto import KEYRING
from authserve.keys.store import KEY_STORE

Signer = Callable[[bytes], bytes]


def encode(data: bytes) -> str:
    """Unpadded base64url."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(segment: str) -> bytes:
    """Undo `encode`."""
    return urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def header_of(token: str) -> dict[str, Any]:
    """The header, unverified."""
    header: dict[str, Any] = json.loads(decode(token.split(".")[0]))
    return header


def claims_of(token: str) -> dict[str, Any]:
    """The claims, unverified."""
    claims: dict[str, Any] = json.loads(decode(token.split(".")[1]))
    return claims


def assemble(header: Mapping[str, Any], claims: Any, signer: Signer) -> str:
    """Return a token of any header and claims; `claims` that are bytes go in unchanged."""
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    signed = f"{encode(json.dumps(header).encode())}.{encode(payload)}"
    return f"{signed}.{encode(signer(signed.encode()))}"


def ec_signer(private_key: EllipticCurvePrivateKey) -> Signer:
    """Return a signer for ES256."""
    algorithm = ECAlgorithm(ECAlgorithm.SHA256)
    return lambda message: algorithm.sign(message, private_key)


def hmac_signer(key: bytes) -> Signer:
    """Return a signer for HS256."""
    return lambda message: HMACAlgorithm(HMACAlgorithm.SHA256).sign(message, key)


def own_signer(app: Flask, kind: str) -> Signer:
    """Return the service's own signer for tokens of this kind."""
    with app.app_context():
        if kind == "access":
            return ec_signer(KEY_STORE.get().signing_key()[1])
        return hmac_signer(KEYRING.get().keys(f"{kind}-token")[0])


@dataclass(frozen=True)
class Forge:
    """A maker of variants of a good token, each signed with the service's own key.

    Args:
        token: the good one.
        signer: what signed it.
    """

    token: str
    signer: Signer

    def __call__(
        self,
        *,
        without: Iterable[str] = (),
        header: Mapping[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """The token with other claims and members of the header; None stays, as null."""
        made = {**claims_of(self.token), **claims}
        left_out = set(without)
        made = {name: value for name, value in made.items() if name not in left_out}
        return assemble({**header_of(self.token), **(header or {})}, made, self.signer)


def forge(app: Flask, kind: str, token: str) -> Forge:
    """Return a maker of variants of a good token of this kind."""
    return Forge(token, own_signer(app, kind))
