"""Access tokens that a process has verified before."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError, TokenExpiredError
from authserve.keys.store import KEY_STORE, KeyStore
from authserve.settings.model import SETTINGS
from authserve.tokens import access
from authserve.tokens.verified import MAX_VERIFIED
from tests.support.clients import Caller

ME = "/api/v1/users/me"


def decode(token: str, *, allow_expired: bool = False) -> Mapping[str, Any]:
    """Verify a token as the current application does now."""
    settings = SETTINGS.get()
    return access.decode_access_token(
        token, settings=settings, now=now(), allow_expired=allow_expired
    )


@pytest.fixture
def token(alice: Caller) -> str:
    """A token that has been verified here."""
    assert alice.get(ME).status_code == 200
    return alice.tokens["access_token"]


def test_it_is_known_by_its_digest_alone(token: str) -> None:
    assert any(access._VERIFIED._verified)
    assert token not in repr(access._VERIFIED._verified)


def test_a_key_that_was_retired_refuses_it(
    app: Flask, runner: FlaskCliRunner, token: str, alice: Caller
) -> None:
    assert runner.invoke(args=["keys", "rotate", "--emergency"]).exit_code == 0
    KEY_STORE.fill(app, KeyStore())
    assert alice.get(ME).status_code == 401
    with app.app_context(), pytest.raises(InvalidTokenError):
        decode(token)


def test_its_expiry_is_checked_each_time(app: Flask, clock: Any, token: str) -> None:
    with app.app_context():
        clock.shift(600 + 30)
        with pytest.raises(TokenExpiredError):
            decode(token)
        assert decode(token, allow_expired=True)["type"] == "access"


def test_another_audience_refuses_it(make_app: Callable[..., Flask], token: str) -> None:
    other = make_app(jwt_audience="another")
    with other.app_context(), pytest.raises(InvalidTokenError):
        decode(token)


def test_what_differs_in_one_letter_is_another_token(app: Flask, token: str) -> None:
    head, _, signature = token.rpartition(".")
    other = "A" if signature[0] != "A" else "B"
    with app.app_context(), pytest.raises(InvalidTokenError):
        decode(f"{head}.{other}{signature[1:]}")


def test_a_process_keeps_no_more_than_it_may(app: Flask, token: str) -> None:
    with app.app_context():
        decode(token)
        (verified, *_) = access._VERIFIED._verified.values()
        for number in range(MAX_VERIFIED + 10):
            access._VERIFIED._remember(number.to_bytes(32), verified)
    assert len(access._VERIFIED._verified) == MAX_VERIFIED
