"""SECRET_KEY changes, and no user is signed out."""

import json
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.core.clock import now
from authserve.mfa.totp import CheckedCode, check_code, find_totp
from tests.support.clients import PASSWORD, Caller, login, register_caller
from tests.support.crowd import persistently
from tests.support.factors import give_totp
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import count_sessions, live_session_row
from tests.support.totp import code_at

OLD = "the first secret of this test, 0123456789"
OTHER = "a secret that is lost by now, 0123456789"
NEW = "the second secret of this test, 0123456789"


@pytest.fixture
def before(make_app: Any) -> Flask:
    """The service before the change."""
    app: Flask = make_app(secret_key=OLD)
    return app


@pytest.fixture
def during(make_app: Any) -> Flask:
    """The service with the new secret, which still takes what the old one signed."""
    app: Flask = make_app(secret_key=NEW, secret_key_fallbacks=(OLD,))
    return app


@pytest.fixture
def after(make_app: Any) -> Flask:
    """The service that knows the new secret alone."""
    app: Flask = make_app(secret_key=NEW)
    return app


@pytest.fixture
def alice(before: Flask) -> Caller:
    """Alice, signed in under the old secret."""
    return register_caller(before, "alice")


def get_me(app: Flask, tokens: dict[str, Any]) -> TestResponse:
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    return app.test_client().get("/api/v1/users/me", headers=headers)


def refresh(app: Flask, tokens: dict[str, Any]) -> TestResponse:
    body = {"refresh_token": tokens["refresh_token"]}
    return app.test_client().post("/api/v1/auth/refresh", json=body)


def rewrap(app: Flask) -> None:
    result = app.test_cli_runner().invoke(args=["keys", "rewrap"])
    assert result.exit_code == 0, result.output


def is_known_device(app: Flask, tokens: dict[str, Any]) -> bool:
    """Return True if a block on the name does not apply to the device."""
    for _ in range(6):
        login(app.test_client(), "alice", "wrong")
    body = {"identifier": "alice", "password": PASSWORD, "device_token": tokens["device_token"]}
    response = app.test_client().post("/api/v1/auth/login", json=body)
    assert response.status_code in (200, 429)
    return response.status_code == 200


def test_with_the_old_secret_as_fallback_everything_keeps_working(
    during: Flask, alice: Caller
) -> None:
    assert get_me(during, alice.tokens).status_code == 200
    response = refresh(during, alice.tokens)
    assert response.status_code == 200
    assert get_me(during, response.get_json()).status_code == 200
    assert refresh(during, response.get_json()).status_code == 200
    assert is_known_device(during, alice.tokens)


def test_old_and_new_processes_serve_side_by_side_while_they_are_replaced(
    make_app: Any, during: Flask, alice: Caller
) -> None:
    """A rollback, or a machine that is late: it needs the new secret as a fallback."""
    late: Flask = make_app(secret_key=OLD, secret_key_fallbacks=(NEW,))
    tokens = alice.tokens
    for app in (during, late, during, late):
        response = refresh(app, tokens)
        assert response.status_code == 200
        tokens = response.get_json()
        for other in (during, late):
            assert get_me(other, tokens).status_code == 200


@both_databases
def test_after_a_rewrap_the_fallback_can_be_dropped(
    during: Flask, after: Flask, alice: Caller
) -> None:
    moved = refresh(during, alice.tokens).get_json()
    new = login(during.test_client(), "alice").get_json()
    rewrap(during)

    for tokens in (moved, new):
        assert get_me(after, tokens).status_code == 200
        response = refresh(after, tokens)
        assert response.status_code == 200
        assert get_me(after, response.get_json()).status_code == 200
    # Access tokens are signed by a key of their own, independent of the secret.
    assert get_me(after, alice.tokens).status_code == 200
    assert login(after.test_client(), "alice").status_code == 200
    assert is_known_device(after, new)


def test_what_only_the_old_secret_signed_ends_with_it(
    during: Flask, after: Flask, alice: Caller
) -> None:
    rewrap(during)
    assert_problem(refresh(after, alice.tokens), 401, "invalid_token")
    assert not is_known_device(after, alice.tokens)
    assert refresh(during, alice.tokens).status_code == 200


def test_without_a_rewrap_no_token_is_made_and_none_is_spent(
    during: Flask, after: Flask, alice: Caller, caplog: pytest.LogCaptureFixture
) -> None:
    """The private key is missing; the operator gets the way to restore it."""
    tokens = refresh(during, alice.tokens).get_json()
    row = live_session_row(after, alice.session_id)
    assert get_me(after, tokens).status_code == 200
    for _ in range(3):
        assert_problem(refresh(after, tokens), 503, "service_unavailable")
        assert_problem(login(after.test_client(), "alice"), 503, "service_unavailable")
    assert live_session_row(after, alice.session_id) == row
    assert count_sessions(after) == 1
    assert "SECRET_KEY_FALLBACKS" in caplog.text
    assert OLD not in caplog.text

    rewrap(during)
    # Its workers see that within seconds.
    assert persistently(lambda: refresh(after, tokens)).status_code == 200


@both_databases
def test_totp_secrets_move_to_the_new_secret_and_lost_ones_stop_none(
    before: Flask, during: Flask, after: Flask, alice: Caller, make_app: Any
) -> None:
    secret = give_totp(before, alice.id)
    lost = register_caller(make_app(secret_key=OTHER, secret_key_fallbacks=(OLD,)), "bob")
    give_totp(make_app(secret_key=OTHER), lost.id)
    result = during.test_cli_runner(capture="fd").invoke(args=["keys", "rewrap", "--json"])
    counts = {"keys": 1, "totp_secrets": 1, "provider_secrets": 0, "unopened": 1}
    assert json.loads(result.stdout) == counts
    with after.app_context():
        found = find_totp(alice.id, now=now())
        assert found is not None
        assert isinstance(check_code(found, code_at(secret, found.now)), CheckedCode)
    result = during.test_cli_runner(capture="fd").invoke(args=["keys", "rewrap"])
    assert "1 TOTP secret unchanged" in result.stdout
