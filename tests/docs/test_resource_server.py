"""The code of docs/resource-server.md, run unchanged."""

import re
import sys
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from jwt.algorithms import ECAlgorithm
from sqlalchemy import func, select, update

import config
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.keys.models import SigningKey
from authserve.keys.policy import RotationCause
from authserve.keys.rotation import rotate
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.server import DEADLINE_SECS, Server
from tests.support.tokens import (
    Forge,
    assemble,
    claims_of,
    ec_signer,
    forge,
    header_of,
    hmac_signer,
)

pytestmark = pytest.mark.gunicorn

JWKS = "/.well-known/jwks.json"


class Clock:
    """The clock of the page's code; the test moves it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def code_blocks() -> list[str]:
    page = (config.ROOT / "docs" / "resource-server.md").read_text()
    return re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


@pytest.fixture
def access_tokens(server: Server, clock: Clock) -> ModuleType:
    """The page's first block as a module, with the addresses of the test's server."""
    module = ModuleType("access_tokens")
    exec(compile(code_blocks()[0], "docs/resource-server.md", "exec"), module.__dict__)
    module.ISSUER = "http://localhost:8000"  # type: ignore[attr-defined]
    module.KEYS = module.KeySet(server.url + JWKS, clock=clock)  # type: ignore[attr-defined]
    return module


@pytest.fixture
def is_good(access_tokens: ModuleType) -> Callable[[str], bool]:
    """Return True if the page's code takes a token; any other error fails the test."""

    def ask(token: str) -> bool:
        try:
            access_tokens.verify(token)
        except access_tokens.InvalidAccessToken:
            return False
        return True

    return ask


def sign_in(server: Server) -> str:
    body = {"identifier": "alice", "password": PASSWORD}
    response = server.client().post("/api/v1/auth/login", json=body)
    token: str = response.json()["access_token"]
    return token


def asked(server: Server) -> int:
    """Return how often the keys were requested."""
    return sum(line.get("route") == JWKS for line in server.log())


def hand_over(app: Flask, cause: RotationCause) -> None:
    """Make the next key, and let it sign at once, as if it had been shown for long enough."""
    with app.app_context():
        rotate(cause, request=RequestInfo())
        newest = select(func.max(SigningKey.serial)).scalar_subquery()
        with transaction() as session:
            session.execute(
                update(SigningKey)
                .where(SigningKey.serial == newest)
                .values(active_from=now())
                .execution_options(synchronize_session=False)
            )


def wait_for(condition: Callable[[], bool]) -> None:
    """Workers follow a rotation within seconds, each by itself."""
    give_up = time.monotonic() + DEADLINE_SECS
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.05)


def test_it_takes_access_tokens_and_follows_the_keys(
    server: Server, app: Flask, access_tokens: ModuleType, is_good: Any, clock: Clock
) -> None:
    register_caller(app, "alice")
    old = sign_in(server)
    claims = access_tokens.verify(old)
    assert claims == claims_of(old)

    # The keys are kept, and unknown ones are asked for now and then alone.
    made_up = forge(app, "access", old)
    for number in range(50):
        assert not is_good(made_up(header={"kid": f"made up {number}"}))
        assert is_good(old)
    assert asked(server) == 1
    clock.seconds += 10
    for number in range(50):
        assert not is_good(made_up(header={"kid": f"made up {number}"}))
    assert asked(server) == 2

    # A new key signs, and the old one is still good.
    hand_over(app, RotationCause.ORDER)
    wait_for(lambda: header_of(sign_in(server))["kid"] != header_of(old)["kid"])
    new = [sign_in(server) for _ in range(6)]

    def follows() -> bool:
        clock.seconds += 10
        return all(is_good(token) for token in new)

    wait_for(follows)
    assert is_good(old)

    # After an emergency the older keys are gone from the list, and from the cache in time.
    hand_over(app, RotationCause.EMERGENCY)

    def forgets() -> bool:
        clock.seconds += 300
        return not any(is_good(token) for token in (old, *new))

    def goes_on() -> bool:
        clock.seconds += 10
        return is_good(sign_in(server))

    wait_for(forgets)
    wait_for(goes_on)


def refused(good: Forge, refresh_token: str) -> dict[str, str]:
    """Return a token for each check in the page's table."""
    seconds = int(time.time())
    header, claims = header_of(good.token), claims_of(good.token)
    own = ec.generate_private_key(ec.SECP256R1())
    own_jwk = ECAlgorithm.to_jwk(own.public_key(), as_dict=True)
    return {
        "nothing": "",
        "no token": "a.b.c",
        "not ASCII": "é.é.é",
        "a refresh token": refresh_token,
        "alg none": assemble({**header, "alg": "none"}, claims, lambda _: b""),
        "a symmetric key": assemble({**header, "alg": "HS256"}, claims, hmac_signer(b"k" * 32)),
        "another key": assemble(header, claims, ec_signer(own)),
        "a key of its own": assemble({**header, "jwk": own_jwk}, claims, ec_signer(own)),
        "no kid": good(header={"kid": None}),
        "a kid that is no text": good(header={"kid": ["a"]}),
        "typ JWT": good(header={"typ": "JWT"}),
        "typ no text": good(header={"typ": 5}),
        "type refresh": good(type="refresh"),
        "another issuer": good(iss="https://evil.example"),
        "another audience": good(aud="billing"),
        "a list of audiences": good(aud=["authserve"]),
        "expired": good(iat=seconds - 700, nbf=seconds - 700, exp=seconds - 100),
        "not yet good": good(nbf=seconds + 100),
        **{f"no {name}": good(without=[name]) for name in ("exp", "sub", "aud", "iss", "sid")},
    }


def assert_example_works(alice: Caller) -> None:
    """Check that the page's second block requires a token and greets its owner."""
    example: dict[str, Any] = {"__name__": "example"}
    exec(compile(code_blocks()[1], "docs/resource-server.md", "exec"), example)
    client = example["app"].test_client()
    for header, challenge in (
        ("", "Bearer"),
        ("Basic YTpi", "Bearer"),
        ("Bearer x", 'Bearer error="invalid_token"'),
        (f"Bearer {alice.tokens['refresh_token']}", 'Bearer error="invalid_token"'),
    ):
        response = client.get("/hello", headers={"Authorization": header})
        assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, challenge)
    headers = {"Authorization": f"bearer {alice.tokens['access_token']}"}
    assert client.get("/hello", headers=headers).text == f"Hello, {alice.user['id']}"


def test_it_refuses_all_else_and_keeps_working_while_the_service_is_away(
    server: Server,
    app: Flask,
    alice: Caller,
    access_tokens: ModuleType,
    is_good: Any,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    token = alice.tokens["access_token"]
    good = forge(app, "access", token)
    forged = refused(good, alice.tokens["refresh_token"])
    assert {name for name, each in forged.items() if is_good(each)} == set()
    assert is_good(good())
    monkeypatch.setitem(sys.modules, "access_tokens", access_tokens)
    assert_example_works(alice)

    assert server.stop() == 0
    clock.seconds = 3599
    assert is_good(token)
    # By then the key may have been retired for long.
    clock.seconds = 3600
    assert not is_good(token)
