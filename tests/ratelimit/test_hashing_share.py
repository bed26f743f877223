"""One address that sends more passwords than can be hashed, and a caller from elsewhere."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.passwords.hasher import PASSWORD_HASHER, PasswordHasher, Verification
from tests.conftest import CHEAP
from tests.support.clients import PASSWORD, register_caller
from tests.support.crowd import DEADLINE_SECS
from tests.support.worker import wait_until

PLACES = 16
ATTACKER, VICTIM = "198.51.100.7", "192.0.2.1"


class StandingHasher(PasswordHasher):
    """A hasher that begins nothing before its gate is open."""

    def __init__(self) -> None:
        super().__init__(
            cost=CHEAP, niceness=0, queue_size=PLACES, max_wait_secs=float(DEADLINE_SECS)
        )
        self.gate = Event()

    def _verify_secret(self, secret: bytes, stored_hash: str | None) -> Verification:
        assert self.gate.wait(DEADLINE_SECS)
        return super()._verify_secret(secret, stored_hash)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with limits."""
    return make_app(ratelimit_enabled=True)


@pytest.fixture
def hasher(app: Flask) -> Iterator[StandingHasher]:
    hasher = StandingHasher()
    yield hasher
    hasher.gate.set()


def sign_in(app: Flask, name: str, ip: str, **fields: Any) -> TestResponse:
    body = {"identifier": name, "password": PASSWORD, **fields}
    return app.test_client().post(
        "/api/v1/auth/login", json=body, environ_overrides={"REMOTE_ADDR": ip}
    )


@pytest.mark.parametrize("target", ["mallory", "alice"], ids=["own account", "victim's account"])
def test_thirty_device_tokens_of_one_address_leave_a_victim_a_place(
    app: Flask, hasher: StandingHasher, target: str
) -> None:
    """Known to their own account, and strangers' to any other."""
    register_caller(app, "alice")
    mallory = register_caller(app, "mallory")
    devices = [mallory.tokens["device_token"]]
    for number in range(29):
        signed_in = sign_in(app, "mallory", f"203.0.113.{number}")
        devices.append(signed_in.get_json()["device_token"])
    PASSWORD_HASHER.fill(app, hasher)

    with ThreadPoolExecutor(max_workers=32) as threads:
        try:
            flood = [
                threads.submit(sign_in, app, target, ATTACKER, device_token=device)
                for device in devices
            ]
            wait_until(lambda: sum(call.done() for call in flood) + hasher.waiting == len(flood))
            held = hasher.waiting
            victim = threads.submit(sign_in, app, "alice", VICTIM)
            wait_until(lambda: victim.done() or hasher.waiting > held)
        finally:
            hasher.gate.set()
    assert 1 <= held <= PLACES // 2
    assert victim.result().status_code == 200
    refused = [call.result() for call in flood if call.result().status_code != 200]
    assert {answer.get_json()["code"] for answer in refused} == {"busy"}
    assert len(refused) == len(flood) - held


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_share_of_a_network_is_one_of_the_limits(
    make_app: Callable[..., Flask], is_enabled: bool
) -> None:
    limited = PASSWORD_HASHER.of(make_app(ratelimit_enabled=is_enabled))
    assert limited._limits_networks is is_enabled
