"""ID tokens of other providers: the good one, and those that hostile or faulty providers send."""

import json
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from authserve.federation.id_tokens import (
    Expected,
    IDTokenError,
    ProviderKey,
    UnknownKeyError,
    read_keys,
    verify_id_token,
)
from tests.support.tokens import assemble, hmac_signer

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ISSUER, CLIENT = "https://id.example.org", "authserve-at-example"
EXPECTED = Expected(issuer=ISSUER, client_id=CLIENT, nonce="n-0S6_WzA2Mj")

AT = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "iss": ISSUER,
    "sub": "24400320",
    "aud": CLIENT,
    "exp": AT + 300,
    "iat": AT,
    "nonce": EXPECTED.nonce,
}


@cache
def private_key(kind: str) -> Any:
    """A key that is made once, since RSA takes a while."""
    if kind == "EC":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "OKP":
        return ed25519.Ed25519PrivateKey.generate()
    return rsa.generate_private_key(65_537, 1_024 if kind == "short" else 2_048)


def public_jwk(kind: str, algorithm: str, **members: Any) -> dict[str, Any]:
    """The entry of a key in the provider's set."""
    text = get_default_algorithms()[algorithm].to_jwk(private_key(kind).public_key())
    return {**json.loads(text), "kid": kind, **members}


SET = {
    "keys": [public_jwk("RSA", "RS256", alg="RS256"), public_jwk("EC", "ES256", use="sig")],
}
KEYS = read_keys(SET)


def sign(claims: dict[str, Any], kind: str = "RSA", algorithm: str = "RS256", **header: Any) -> str:
    """A token of the provider."""
    headers = {"kid": kind, "typ": "JWT", **header}
    # PyJWT itself refuses to make some of these.
    with warnings.catch_warnings(action="ignore"):
        payload = json.dumps(claims).encode()
        return jwt.PyJWS().encode(payload, private_key(kind), algorithm, headers=headers)


def verify(token: str, keys: tuple[ProviderKey, ...] = KEYS) -> dict[str, Any]:
    """Verify a token at `NOW`."""
    return verify_id_token(token, keys, expected=EXPECTED, now=NOW)


@pytest.mark.parametrize(
    ("kind", "algorithm"), [("RSA", "RS256"), ("EC", "ES256"), ("OKP", "EdDSA")]
)
def test_a_good_token_gives_its_claims(kind: str, algorithm: str) -> None:
    keys = KEYS if kind != "OKP" else read_keys({"keys": [public_jwk("OKP", "EdDSA")]})
    assert verify(sign(CLAIMS, kind, algorithm), keys) == CLAIMS


def test_of_keys_with_one_name_that_of_the_right_type_counts() -> None:
    entries = [public_jwk("EC", "ES256", kid="RSA"), public_jwk("RSA", "RS256")]
    assert verify(sign(CLAIMS), read_keys({"keys": entries})) == CLAIMS
    with pytest.raises(UnknownKeyError):
        verify(sign(CLAIMS), read_keys({"keys": entries[:1]}))


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": [CLIENT]},
        {"aud": [CLIENT], "azp": CLIENT},
        {"aud": [CLIENT, "another"], "azp": CLIENT},
        {"exp": AT - 59},
        {"iat": AT + 59},
        {"nbf": "never read"},
    ],
)
def test_what_the_specification_allows_is_accepted(changes: dict[str, Any]) -> None:
    assert verify(sign({**CLAIMS, **changes}))["sub"] == "24400320"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"iss": ISSUER + "/"}, "provider"),
        ({"iss": "https://id.example.com"}, "provider"),
        ({"iss": [ISSUER]}, "provider"),
        ({"iss": None}, "provider"),
        ({"aud": "another"}, "another client"),
        ({"aud": [CLIENT, "another"]}, "another client"),
        ({"aud": [CLIENT, "another"], "azp": "another"}, "another client"),
        ({"aud": CLIENT, "azp": "another"}, "another client"),
        ({"aud": []}, "another client"),
        ({"aud": None}, "provider"),
        ({"exp": AT - 60}, "expired"),
        ({"exp": "tomorrow"}, "no numbers"),
        ({"exp": True}, "no numbers"),
        ({"exp": float("nan")}, "no numbers"),
        ({"exp": float("inf")}, "no numbers"),
        ({"exp": 10**400}, "no numbers"),
        ({"exp": None}, "provider"),
        ({"iat": AT + 61}, "future"),
        ({"iat": None}, "provider"),
        ({"nonce": "another"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": "\ud800"}, "nonce"),
        ({"nonce": [EXPECTED.nonce]}, "nonce"),
        ({"sub": ""}, "subject"),
        ({"sub": "x" * 256}, "subject"),
        ({"sub": "zoë"}, "subject"),
        ({"sub": "a\0b"}, "subject"),
        ({"sub": "a\nb"}, "subject"),
        ({"sub": None}, "provider"),
    ],
)
def test_a_token_that_says_something_else_is_refused(changes: dict[str, Any], reason: str) -> None:
    claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    with pytest.raises(IDTokenError) as refused:
        verify(sign(claims))
    assert reason in refused.value.reason
    assert refused.value.fault == FAULTS[reason]


FAULTS = {
    "provider": "signature",
    "another client": "audience",
    "expired": "times",
    "no numbers": "times",
    "future": "times",
    "nonce": "nonce",
    "subject": "subject",
}
"""The check of each reason."""


def _unsigned() -> str:
    return jwt.encode(CLAIMS, None, algorithm="none")


def _public_pem() -> bytes:
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return private_key("RSA").public_key().public_bytes(serialization.Encoding.PEM, form)


def _by_hmac(secret: bytes) -> str:
    """A token whose secret is one that both sides know, or everyone does (PyJWT refuses to)."""
    return assemble({"alg": "HS256", "kid": "RSA", "typ": "JWT"}, CLAIMS, hmac_signer(secret))


FORGERIES: dict[str, Callable[[], str]] = {
    "none": _unsigned,
    "HS256 with the public key": lambda: _by_hmac(_public_pem()),
    "HS256 with the client's secret": lambda: _by_hmac(b"the secret of the client"),
    "another algorithm of the key": lambda: sign(CLAIMS, algorithm="PS256"),
    "another type of key": lambda: sign(CLAIMS, "EC", "ES256", kid="RSA"),
    "key in the header": lambda: sign(CLAIMS, "OKP", "EdDSA", jwk=public_jwk("OKP", "EdDSA")),
    "unknown kid": lambda: sign(CLAIMS, kid="another"),
    "short key": lambda: sign(CLAIMS, "short"),
    "another's signature": lambda: (
        sign({**CLAIMS, "sub": "1"}).rpartition(".")[0] + "." + sign(CLAIMS).rpartition(".")[2]
    ),
    "no token": lambda: "no token",
    "empty": lambda: "",
    "no bytes": lambda: "\ud800",
    "five parts": lambda: "a.b.c.d.e",
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused(name: str) -> None:
    with pytest.raises(IDTokenError):
        verify(FORGERIES[name]())


@pytest.mark.parametrize("name", ["unknown kid", "another type of key", "short key"])
def test_a_key_that_is_not_there_may_be_in_a_newer_set(name: str) -> None:
    keys = read_keys({"keys": [*SET["keys"], public_jwk("short", "RS256")]})
    with pytest.raises(UnknownKeyError):
        verify(FORGERIES[name](), keys)


def test_without_a_kid_each_fitting_key_is_tried() -> None:
    other = get_default_algorithms()["RS256"].to_jwk(private_key("other").public_key())
    keys = read_keys({"keys": [json.loads(other), *SET["keys"]]})
    token = jwt.encode(CLAIMS, private_key("RSA"), "RS256")
    assert verify(token, keys) == CLAIMS


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        {},
        {"keys": None},
        {"keys": {}},
        {"keys": [None, 1, [], {}, {"kty": "oct", "k": "AAAA"}, {"kty": "EC", "crv": "P-256"}]},
        {"keys": [{"kty": "RSA", "n": 1, "e": []}, {"kty": ["RSA"]}, {"kty": "RSA", "alg": 1}]},
        {"keys": [public_jwk("RSA", "RS256", use="enc")]},
        {"keys": [public_jwk("RSA", "RS256", alg="HS256")]},
        {"keys": [public_jwk("RSA", "RS256", alg=["RS256"])]},
        {"keys": [public_jwk("RSA", "RS256", d="AAAA")]},
        {"keys": [public_jwk("short", "RS256")]},
    ],
)
def test_a_set_without_usable_keys_has_none(document: object) -> None:
    assert read_keys(document) == ()


def test_a_set_is_read_up_to_its_limit() -> None:
    many = {"keys": [{}] * 100 + [public_jwk("EC", "ES256")]}
    assert read_keys(many) == ()


def test_the_time_is_the_callers() -> None:
    later = NOW + timedelta(seconds=360)
    with pytest.raises(IDTokenError, match="expired"):
        verify_id_token(sign(CLAIMS), KEYS, expected=EXPECTED, now=later)
