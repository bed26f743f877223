"""One kind of token never passes for another, and nothing passes that the service did not make.

`tests/oidc/test_token_kinds.py` has the kinds that apps, machines and keys bring.

Each table is worked through in one test, on each database: what comes out is a dictionary of
those that were answered in another way than they should have been.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from flask import Flask
from flask.testing import FlaskClient
from jwt.algorithms import ECAlgorithm
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.keys.store import KEY_STORE
from tests.support.clients import PASSWORD, Caller, login
from tests.support.cost import cheaply
from tests.support.problems import assert_problem
from tests.support.tokens import (
    Forge,
    assemble,
    claims_of,
    decode,
    ec_signer,
    encode,
    forge,
    header_of,
    hmac_signer,
)

Tokens = dict[str, str]
"""One good token of each kind, by the kind's name."""


@pytest.fixture
def tokens(alice: Caller) -> Tokens:
    return {
        "access": alice.tokens["access_token"],
        "refresh": alice.tokens["refresh_token"],
        "device": alice.tokens["device_token"],
    }


@dataclass(frozen=True)
class Call:
    """A call that takes a token.

    Args:
        takes: the kinds of token that it takes.
        make: presents a token; the second argument may introspect.
    """

    name: str
    takes: frozenset[str]
    make: Callable[[Any, Caller, str], TestResponse]


def bearer(method: str, path: str, **kwargs: Any) -> Callable[[Any, Caller, str], TestResponse]:
    def make(client: Any, _admin: Caller, token: str) -> TestResponse:
        # WSGI knows bytes alone, and calls them Latin-1.
        headers = {"Authorization": f"Bearer {token}".encode().decode("latin-1")}
        response: TestResponse = client.open(path, method=method, headers=headers, **kwargs)
        return response

    return make


def refresh_in_body(client: Any, _admin: Caller, token: str) -> TestResponse:
    response: TestResponse = client.post("/api/v1/auth/refresh", json={"refresh_token": token})
    return response


def introspect(_client: Any, admin: Caller, token: str) -> TestResponse:
    return admin.post("/api/v1/auth/introspect", json={"token": token})


ACCESS = frozenset({"access"})
REFRESH = frozenset({"refresh"})

CALLS = (
    Call("GET /users/me", ACCESS, bearer("GET", "/api/v1/users/me")),
    Call("GET /users/me/sessions", ACCESS, bearer("GET", "/api/v1/users/me/sessions")),
    Call(
        "POST /auth/reauthenticate",
        ACCESS,
        bearer("POST", "/api/v1/auth/reauthenticate", json={"password": PASSWORD}),
    ),
    Call("POST /auth/refresh, body", REFRESH, refresh_in_body),
    Call("POST /auth/refresh, bearer", REFRESH, bearer("POST", "/api/v1/auth/refresh")),
    Call("POST /auth/introspect", ACCESS, introspect),
    Call("POST /auth/logout", ACCESS | REFRESH, bearer("POST", "/api/v1/auth/logout")),
    Call("POST /auth/logout-all", ACCESS, bearer("POST", "/api/v1/auth/logout-all")),
)


def is_refused(response: TestResponse) -> bool:
    """Return True if a token was refused in the one right way of the call."""
    if response.status_code == 200:
        return bool(response.get_json() == {"active": False})
    assert_problem(response, 401, "invalid_token")
    return response.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


def is_taken(response: TestResponse) -> bool:
    """Return True if a token was good for the call."""
    if response.status_code == 204:
        return True
    return response.status_code == 200 and response.get_json().get("active", True)


def test_a_call_takes_its_own_kinds_of_token_alone(
    app: Flask, alice: Caller, admin: Caller, tokens: Tokens
) -> None:
    client = app.test_client()
    for call in CALLS:
        for kind in tokens:
            # Some calls end the session of the token that they take.
            new = login(client, "alice").get_json()
            response = call.make(client, admin, new[f"{kind}_token"])
            is_right = is_taken if kind in call.takes else is_refused
            assert is_right(response), (call.name, kind, response.get_data(as_text=True))


def test_a_device_token_of_another_kind_counts_as_absent(app: Flask, tokens: Tokens) -> None:
    """A known device may sign in despite strangers' failures; no other token makes it known."""
    client = app.test_client()
    for _ in range(5):
        login(client, "alice", "wrong")
    body = {"identifier": "alice", "password": PASSWORD}
    statuses = {
        kind: client.post("/api/v1/auth/login", json={**body, "device_token": token}).status_code
        for kind, token in tokens.items()
    }
    assert statuses == {"access": 429, "refresh": 429, "device": 200}


# Tokens signed with the service's own key that the service does not make.


def forged_claims(good: Forge, stranger: Caller) -> dict[str, str]:
    """Tokens whose signature is good and whose claims are not."""
    claims = claims_of(good.token)
    # The tokens of the release before have none, and nothing is decided by it.
    claims.pop("acr", None)
    now = int(time.time())
    made = {f"no {name}": good(without=[name]) for name in claims}
    made |= {f"{name} is null": good(**{name: None}) for name in claims}
    made |= {
        f"{name} is a list": good(**{name: [claims[name]]}) for name in LISTS_REFUSED & set(claims)
    }
    made |= {
        "iss of another": good(iss="https://evil.example"),
        "iss with a slash": good(iss=claims["iss"] + "/"),
        "aud of another": good(aud="billing"),
        "aud as a list": good(aud=[claims["aud"]]),
        "aud as a list of two": good(aud=[claims["aud"], "billing"]),
        "aud empty": good(aud=""),
        "sub of no user": good(sub=str(uuid4())),
        "sub of another": good(sub=str(stranger.id)),
        "sub no UUID": good(sub="alice"),
        "sub upper-case": good(sub=claims["sub"].upper()),
        "sub a number": good(sub=5),
        "jti a number": good(jti=5),
        "iat in the future": good(iat=now + 120),
        "nbf in the future": good(nbf=now + 120),
        "iat as text": good(iat=str(claims["iat"])),
        "nbf as text": good(nbf=str(claims["nbf"])),
        "exp as text": good(exp=str(claims["exp"])),
        "exp as a fraction": good(exp=claims["exp"] + 0.5),
        "exp as a whole fraction": good(exp=float(claims["exp"])),
        "exp a bool": good(exp=True),
        "exp an object": good(exp={}),
        "exp far beyond any calendar": good(exp=10**30),
        "exp beyond the calendar": good(exp=253_402_300_800),
        "exp infinite": good(exp=float("inf")),
        "exp no number": good(exp=float("nan")),
        "exp of 5000 digits": assemble(
            header_of(good.token),
            json.dumps({**claims, "exp": 7}).replace('"exp": 7', '"exp": ' + "9" * 5000).encode(),
            good.signer,
        ),
        "type upper-case": good(type=claims["type"].upper()),
        "claims a list": assemble(header_of(good.token), [claims], good.signer),
        "claims null": assemble(header_of(good.token), None, good.signer),
        "claims no JSON": assemble(header_of(good.token), b"{", good.signer),
        "claims no UTF-8": assemble(header_of(good.token), b'{"a":"\xff"}', good.signer),
        "claims nested": assemble(header_of(good.token), b"[" * 2000 + b"]" * 2000, good.signer),
    }
    for kind in {"access", "refresh", "device", "mfa"} - {claims["type"]}:
        made[f"type {kind}"] = good(type=kind)
    if "sid" in claims:
        made |= {
            "sid of another": good(sid=str(stranger.session_id)),
            "sid no UUID": good(sid="a session"),
            "sid upper-case": good(sid=claims["sid"].upper()),
            "sid in braces": good(sid=f"{{{claims['sid']}}}"),
            "sid a number": good(sid=5),
            "sid a bool": good(sid=True),
            "sid SQL": good(sid="' OR 1=1 --"),
            "sid with NUL": good(sid=claims["sid"] + "\x00"),
            "sid with a new line": good(sid=claims["sid"] + "\n"),
        }
    return made


LISTS_REFUSED = {"iss", "aud", "sub", "iat", "nbf", "exp", "jti", "type", "sid", "gen", "fam"}

SPECIAL_CLAIMS: dict[str, dict[str, dict[str, Any]]] = {
    "access": {
        "client_id of another": {"client_id": "billing"},
        "fresh true": {"fresh": True},
        "fresh as text": {"fresh": "4102444800"},
        "fresh a fraction": {"fresh": 4102444800.5},
    },
    "refresh": {
        "gen as text": {"gen": "0"},
        "gen a fraction": {"gen": 0.0},
        "gen a bool": {"gen": False},
        "gen negative": {"gen": -1},
        "gen beyond the column": {"gen": 2**31},
        "gen far beyond": {"gen": 10**30},
        "fam of another session": {"fam": encode(bytes(16))},
        "fam empty": {"fam": ""},
        "fam a number": {"fam": 5},
        "fam no base64url": {"fam": "a"},
        "fam not ASCII": {"fam": "ü" * 22},
    },
}
"""Claims of one kind alone, in forms that its tokens never have."""

PRESENT: dict[str, Callable[[Any, Caller, str], TestResponse]] = {
    "access": bearer("GET", "/api/v1/users/me"),
    "refresh": refresh_in_body,
}
"""The call that presents each kind of token in the tables below."""


@pytest.mark.parametrize("kind", PRESENT)
def test_a_good_signature_is_not_enough(
    app: Flask, alice: Caller, charlie: Caller, admin: Caller, tokens: Tokens, kind: str
) -> None:
    good = forge(app, kind, tokens[kind])
    forged = forged_claims(good, charlie)
    forged |= {name: good(**changes) for name, changes in SPECIAL_CLAIMS[kind].items()}
    assert_all_refused(app, admin, kind, forged)
    # The same helper also makes good ones.
    assert PRESENT[kind](app.test_client(), admin, good()).status_code == 200


def assert_all_refused(app: Flask, admin: Caller, kind: str, forged: dict[str, str]) -> None:
    """Each is answered 401 `invalid_token`, quickly, by its own call and by those beside it."""
    client = app.test_client()
    wrong: dict[str, Any] = {}
    for name, token in forged.items():
        *answers, inactive = cheaply(partial(present_everywhere, client, admin, kind, token))
        for response in answers:
            code = (response.get_json() or {}).get("code")
            if (response.status_code, code) != (401, "invalid_token"):
                wrong[name] = (response.status_code, code)
            else:
                assert_problem(response, 401, "invalid_token")
        if (inactive.status_code, inactive.get_json()) != (200, {"active": False}):
            wrong[f"{name}, introspected"] = (inactive.status_code, inactive.get_json())
    assert wrong == {}


def present_everywhere(
    client: FlaskClient, admin: Caller, kind: str, token: str
) -> tuple[TestResponse, TestResponse, TestResponse]:
    """Return the answers of the token's own call, of a sign-out and of an introspection."""
    return (
        PRESENT[kind](client, admin, token),
        LOGOUT(client, admin, token),
        introspect(client, admin, token),
    )


LOGOUT = bearer("POST", "/api/v1/auth/logout")


@pytest.mark.parametrize("kind", PRESENT)
def test_the_end_of_a_tokens_time_is_checked_last(
    app: Flask, tokens: Tokens, admin: Caller, kind: str
) -> None:
    good = forge(app, kind, tokens[kind])
    past = {"iat": 1000, "nbf": 1000, "exp": 2000}
    expected = {
        good(**past): "token_expired",
        good(**past, iss="https://evil.example"): "invalid_token",
        good(**past, aud="billing"): "invalid_token",
        good(**past, sub="alice"): "invalid_token",
        good(**past, without=["jti"]): "invalid_token",
        good(**past, type="device"): "invalid_token",
    }
    client = app.test_client()
    codes = {token: PRESENT[kind](client, admin, token).get_json()["code"] for token in expected}
    assert codes == expected


# Tokens without a signature by the right key.


def forged_headers(app: Flask, good: Forge, kind: str) -> dict[str, str]:
    """Return tokens whose headers choose their own key or algorithm."""
    header, claims = header_of(good.token), claims_of(good.token)
    own = ec.generate_private_key(ec.SECP256R1())
    own_jwk = ECAlgorithm.to_jwk(own.public_key(), as_dict=True)
    with app.app_context():
        kid = KEY_STORE.get().signing_key()[0]
        public_key = KEY_STORE.get().find_public_key(kid, now=now())
        jwk = KEY_STORE.get().jwks()[0]
    assert public_key is not None
    pem = public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    sign_own = ec_signer(own)

    def unsigned(alg: str) -> str:
        return assemble({**header, "alg": alg}, claims, lambda _: b"").rstrip(".") + "."

    def with_secret(secret: bytes) -> str:
        return assemble({**header, "kid": kid, "alg": "HS256"}, claims, hmac_signer(secret))

    made = {
        "alg none": unsigned("none"),
        "alg None": unsigned("None"),
        "alg nOnE": unsigned("nOnE"),
        "alg none, without a dot": unsigned("none").rstrip("."),
        "alg none, signed": good(header={"alg": "none"}),
        "alg empty": good(header={"alg": ""}),
        "alg null": good(header={"alg": None}),
        "alg a list": good(header={"alg": [header["alg"]]}),
        "alg HS512": good(header={"alg": "HS512"}),
        "alg ES384": good(header={"alg": "ES384"}),
        "alg RS256": good(header={"alg": "RS256"}),
        "alg HS256 with the public PEM": with_secret(pem),
        "alg HS256 with the public JWK": with_secret(json.dumps(jwk).encode()),
        "alg HS256 with nothing": with_secret(b""),
        "alg HS256 with the kid": with_secret(kid.encode()),
        "typ JWT": good(header={"typ": "JWT"}),
        "typ null": good(header={"typ": None}),
        "typ a list": good(header={"typ": [header["typ"]]}),
        "typ upper-case": good(header={"typ": header["typ"].upper()}),
        "typ in full": good(header={"typ": f"application/{header['typ']}"}),
        "another key": assemble(header, claims, sign_own),
        "own jwk": assemble({**header, "jwk": own_jwk}, claims, sign_own),
        "own jwk and kid": assemble(
            {**header, "jwk": {**own_jwk, "kid": "own"}, "kid": "own"}, claims, sign_own
        ),
        "own jku": assemble(
            {**header, "jku": "http://127.0.0.1:9/jwks.json", "kid": "own"}, claims, sign_own
        ),
        "own x5u": assemble({**header, "x5u": "http://127.0.0.1:9/cert"}, claims, sign_own),
        "own x5c": assemble({**header, "x5c": ["MIIB"]}, claims, sign_own),
        "signed, with jwk": good(header={"jwk": jwk}),
        "signed, with jku": good(header={"jku": "http://127.0.0.1:9/jwks.json"}),
        "signed, with x5u": good(header={"x5u": "http://127.0.0.1:9/cert"}),
        "signed, with crit": good(header={"crit": ["exp"], "exp": 1}),
        "signed, with an empty crit": good(header={"crit": []}),
        "signed, with zip": good(header={"zip": "DEF"}),
        "signed, with b64": good(header={"b64": False, "crit": ["b64"]}),
        "signed, with cty": good(header={"cty": "JWT"}),
        "header a list": assemble([header], claims, good.signer),  # type: ignore[arg-type]
        "header null": assemble(None, claims, good.signer),  # type: ignore[arg-type]
        "header nested": ".".join(
            (encode(b"[" * 20_000), *good.token.split(".")[1:]),
        ),
        "header a long number": ".".join(
            (encode(b'{"alg":' + b"9" * 5000 + b"}"), *good.token.split(".")[1:]),
        ),
    }
    return made | {f"kid {name}": good(header={"kid": value}) for name, value in ODD_KIDS.items()}


ODD_KIDS: dict[str, Any] = {
    "unknown": "another",
    "empty": "",
    "a number": 5,
    "a list": ["a"],
    "an object": {"a": "b"},
    "a bool": True,
    "a path": "../../../../dev/null",
    "SQL": "' UNION SELECT public_pem FROM signing_keys --",
    "with NUL": "a\x00b",
    "half a surrogate pair": "\ud800",
    "of 10 KB": "k" * 10_000,
}


@pytest.mark.parametrize("kind", PRESENT)
def test_no_header_chooses_its_own_key(
    app: Flask, alice: Caller, admin: Caller, tokens: Tokens, kind: str
) -> None:
    good = forge(app, kind, tokens[kind])
    assert_all_refused(app, admin, kind, forged_headers(app, good, kind))


def test_an_access_token_names_its_key(app: Flask, admin: Caller, tokens: Tokens) -> None:
    good = forge(app, "access", tokens["access"])
    header = {name: value for name, value in header_of(good.token).items() if name != "kid"}
    forged = {
        "no kid": assemble(header, claims_of(good.token), good.signer),
        "kid null": good(header={"kid": None}),
    }
    assert_all_refused(app, admin, "access", forged)


def spellings(token: str) -> dict[str, str]:
    """Other texts that a careless decoder takes for the same token, and others that look alike."""
    header, payload, signature = token.split(".")
    last = decode(signature)[-1]
    made = {
        "padded": f"{token}=",
        "padded twice": f"{token}==",
        "header padded": f"{header}=.{payload}.{signature}",
        "payload padded": f"{header}.{payload}=.{signature}",
        "standard alphabet": f"{header}.{payload}.+{signature[1:]}",
        "a bit of the signature flipped": f"{header}.{payload}."
        + encode(decode(signature)[:-1] + bytes([last ^ 1])),
        "a byte short": f"{header}.{payload}.{encode(decode(signature)[:-1])}",
        "a byte long": f"{header}.{payload}.{encode(decode(signature) + bytes(1))}",
        "no signature": f"{header}.{payload}.",
        "no payload": f"{header}..{signature}",
        "no header": f".{payload}.{signature}",
        "two parts": f"{header}.{payload}",
        "one part": header,
        "four parts": f"{token}.{signature}",
        "five parts": f"{token}.{signature}.{signature}",
        "dots": "..",
        "many dots": "." * 4000,
        "very many dots": "a." * 2000,
        "twice": token + token,
        "quoted": f'"{token}"',
        "not ASCII": f"{header}.{payload}.ü{signature[1:]}",
        "a look-alike": token.replace("a", "\N{CYRILLIC SMALL LETTER A}"),
        "full width": f"{token}\N{FULLWIDTH FULL STOP}",
        "a space inside": f"{header}. {payload}.{signature}",
        "a tab inside": f"{header}.\t{payload}.{signature}",
        "long": f"{token}{'A' * 4000}",
        "long payload": f"{header}.{payload}{'A' * 4000}.{signature}",
        "no token": "null",
        "nothing": "undefined",
    }
    return made | {
        f"unused bits {unused}": f"{header}.{payload}.{signature[:-1]}{other}"
        for unused, other in enumerate(same_bytes(signature))
    }


def same_bytes(segment: str) -> list[str]:
    """Other last letters that decode to the same bytes."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    others = [letter for letter in alphabet if letter != segment[-1]]
    return [letter for letter in others if decode(segment[:-1] + letter) == decode(segment)]


@pytest.mark.parametrize("kind", PRESENT)
def test_a_token_has_one_spelling(
    app: Flask, alice: Caller, admin: Caller, tokens: Tokens, kind: str
) -> None:
    forged = spellings(tokens[kind])
    assert any(name.startswith("unused bits") for name in forged)
    assert_all_refused(app, admin, kind, forged)


def test_a_token_in_a_body_has_no_spaces_around_it(
    app: Flask, admin: Caller, tokens: Tokens
) -> None:
    for form in (" {0}", "{0} ", "{0}\n", "\t{0}", "{0} {0}"):
        response = refresh_in_body(app.test_client(), admin, form.format(tokens["refresh"]))
        assert_problem(response, 401, "invalid_token")
        response = introspect(app.test_client(), admin, form.format(tokens["access"]))
        assert response.get_json() == {"active": False}


def test_a_monstrous_token_costs_nothing(app: Flask, admin: Caller) -> None:
    for text in ("a" * 60_000, "." * 60_000, "ü" * 10_000, "a." * 30_000):
        refused, _, found = cheaply(
            partial(present_everywhere, app.test_client(), admin, "refresh", text)
        )
        assert_problem(refused, 401, "invalid_token")
        assert found.get_json() == {"active": False}
