"""ID tokens that a provider, or an attacker between, could forge."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import get_default_algorithms

from tests.support.providers import CLIENT_ID, KID, SECRET, ProviderServer, jwk_set, provider_key
from tests.support.tokens import assemble, hmac_signer

Forge = Callable[[ProviderServer], str]


@cache
def foreign_key() -> ec.EllipticCurvePrivateKey:
    """The key of an attacker."""
    return ec.generate_private_key(ec.SECP256R1())


def foreign_jwk() -> dict[str, Any]:
    """Its public half."""
    text = get_default_algorithms()["ES256"].to_jwk(foreign_key().public_key())
    return {**json.loads(text), "kid": KID, "alg": "ES256", "use": "sig"}


def sign_foreign(server: ProviderServer, **header: Any) -> str:
    """A token with the right claims and another key."""
    headers = {"kid": KID, **header}
    return jwt.encode(server.make_claims(), foreign_key(), "ES256", headers=headers)


def sign_hmac(server: ProviderServer, secret: bytes, **header: Any) -> str:
    """A token by HS256, whose key both sides or all people know (PyJWT refuses to make it)."""
    headers = {"alg": "HS256", "kid": KID, "typ": "JWT", **header}
    return assemble(headers, server.make_claims(), hmac_signer(secret))


def _public_pem() -> bytes:
    public = provider_key().public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _swap_signature(server: ProviderServer) -> str:
    good, other = server.sign(), server.sign(sub="1")
    return good.rpartition(".")[0] + "." + other.rpartition(".")[2]


def claiming(**changes: Any) -> Forge:
    """Return what signs a token with other claims."""
    return lambda server: server.sign(**changes)


def _without(name: str) -> Forge:
    def forge(server: ProviderServer) -> str:
        claims = server.make_claims()
        del claims[name]
        return jwt.encode(claims, provider_key(), "ES256", headers={"kid": KID})

    return forge


FORGERIES: dict[str, tuple[Forge, str]] = {
    "another issuer": (claiming(iss="https://accounts.google.com"), "of this provider"),
    "issuer with a slash": (lambda it: it.sign(iss=it.issuer + "/"), "of this provider"),
    "another audience": (claiming(aud="another"), "another client"),
    "two audiences without azp": (claiming(aud=[CLIENT_ID, "another"]), "another client"),
    "another party": (claiming(azp="another"), "another client"),
    "another nonce": (claiming(nonce="another"), "nonce"),
    "no nonce": (_without("nonce"), "nonce"),
    "expired": (claiming(exp=1_700_000_000), "expired"),
    "no end": (_without("exp"), "of this provider"),
    "endless": (claiming(exp=float("inf")), "no numbers"),
    "issued tomorrow": (lambda it: it.sign(iat=it.make_claims()["iat"] + 86_400), "future"),
    "subject of 256 characters": (claiming(sub="x" * 256), "subject"),
    "subject with a NUL": (claiming(sub="a\0b"), "subject"),
    "empty subject": (claiming(sub=""), "subject"),
    "no subject": (_without("sub"), "of this provider"),
    "another's signature": (_swap_signature, "of this provider"),
    "alg none": (lambda it: jwt.encode(it.make_claims(), None, "none"), "algorithm"),
    "HS256 with the secret": (lambda it: sign_hmac(it, SECRET.encode()), "algorithm"),
    "HS256 with the public key": (lambda it: sign_hmac(it, _public_pem()), "algorithm"),
    "HS256 with the published key": (
        lambda it: sign_hmac(it, json.dumps(jwk_set()["keys"][0]).encode()),
        "algorithm",
    ),
    "HS256 with an empty file": (lambda it: sign_hmac(it, b"", kid="/dev/null"), "algorithm"),
    "key of another provider": (sign_foreign, "of this provider"),
    "key in the header": (lambda it: sign_foreign(it, jwk=foreign_jwk()), "of this provider"),
    "key at an address": (
        lambda it: sign_foreign(it, kid="new", jku=f"{it.issuer}/evil", x5u=f"{it.issuer}/evil"),
        "key is not in",
    ),
    "key by a path": (lambda it: sign_foreign(it, kid="../../keys"), "key is not in"),
    "no token": (lambda _: "no token", "not a signed token"),
}
"""What is sent, and a part of the reason that the operator's log gives."""
