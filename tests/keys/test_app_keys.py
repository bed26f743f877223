"""Keys for RS256: made with the first client that needs them, and then as those for ES256."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import jwt
import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from authserve.clients.configuration import ClientChanges
from authserve.clients.registry import change_client, register_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.findings import Level
from authserve.database.statements import table_of
from authserve.database.transactions import db, execute, read_all, transaction
from authserve.health.data_checks import check_signing_keys
from authserve.keys import store
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.families import RS256
from authserve.keys.models import AppSigningKey
from authserve.keys.policy import RotationCause
from authserve.keys.rotation import list_keys, rotate
from authserve.keys.store import APP_KEY_STORE, KeyStore
from tests.http.test_cost import statements_of_sqlite
from tests.oidc.conftest import WIKI
from tests.support.crowd import all_at_once
from tests.support.keys import jwks
from tests.support.marks import both_databases

RSA_WIKI = replace(WIKI, signing_alg="RS256")


def register(app: Flask, client_id: str) -> None:
    with app.app_context():
        register_client(client_id, RSA_WIKI, actor=OPERATOR, request=RequestInfo())


def rsa_keys(app: Flask) -> list[dict[str, Any]]:
    return [key for key in jwks(app) if key["alg"] == "RS256"]


@pytest.fixture
def app(clock: time_machine.Traveller, make_app: Callable[..., Flask]) -> Flask:
    """The identity provider, whose copies of keys are read again after each move of the clock."""
    return make_app(features=("oidc",))


@both_databases
def test_the_first_clients_that_need_one_make_one_key(make_app: Callable[..., Flask]) -> None:
    apps = [make_app(features=("oidc",)) for _ in range(3)]
    assert rsa_keys(apps[0]) == []
    all_at_once([lambda app=app, n=n: register(app, f"wiki-{n}") for n, app in enumerate(apps)])
    with apps[0].app_context():
        assert [key.algorithm for key in list_keys()].count("RS256") == 1
    (key,) = rsa_keys(make_app(features=("oidc",)))
    assert set(key) == {"kty", "n", "e", "kid", "use", "alg"}
    assert jwt.PyJWK(key).key.key_size == 3_072


def test_a_client_that_changes_to_it_makes_the_key(app: Flask) -> None:
    with app.app_context():
        register_client("wiki", WIKI, actor=OPERATOR, request=RequestInfo())
        changes = ClientChanges(name="Docs")
        change_client("wiki", changes, actor=OPERATOR, request=RequestInfo())
        assert read_all(select(AppSigningKey.kid)) == []
        changes = ClientChanges(signing_alg="RS256")
        change_client("wiki", changes, actor=OPERATOR, request=RequestInfo())
        assert len(read_all(select(AppSigningKey.kid))) == 1


def test_a_missing_key_is_made_with_the_first_token(app: Flask) -> None:
    with app.app_context():
        key = APP_KEY_STORE.get().signing_key()
        assert (key.algorithm, [row.kid for row in read_all(select(AppSigningKey.kid))]) == (
            "RS256",
            [key.kid],
        )


def test_commands_cover_both_families(
    app: Flask, runner: FlaskCliRunner, make_app: Callable[..., Flask]
) -> None:
    assert runner.invoke(args=["keys", "rotate"]).stdout.count("\n") == 1
    register(app, "wiki")
    (first,) = rsa_keys(app)
    assert runner.invoke(args=["keys", "rotate"]).stdout.count("\n") == 2
    listed = runner.invoke(args=["keys", "list"]).stdout
    assert (listed.count("RS256"), listed.count("ES256")) == (2, 2)
    # Also where the feature is off, so that it can be switched on again.
    plain = make_app().test_cli_runner().invoke(args=["keys", "list"]).stdout
    assert plain == listed
    assert runner.invoke(args=["keys", "rotate", "--emergency"]).exit_code == 0
    fresh = make_app(features=("oidc",))
    (last,) = rsa_keys(fresh)
    assert last["kid"] != first["kid"]
    with fresh.app_context():
        assert APP_KEY_STORE.get().signing_key().kid == last["kid"]


def test_after_a_rewrap_the_former_secret_can_go(
    app: Flask, make_app: Callable[..., Flask]
) -> None:
    register(app, "wiki")
    new = {"features": ("oidc",), "secret_key": "another secret for tests alone, 98765"}
    without = make_app(**new)
    with without.app_context(), pytest.raises(SigningKeyUnavailableError):
        APP_KEY_STORE.get().signing_key()
    during = make_app(**new, secret_key_fallbacks=(app.config["SECRET_KEY"],))
    result = during.test_cli_runner().invoke(args=["keys", "rewrap"])
    assert result.exit_code == 0, result.output
    with make_app(**new).app_context():
        assert APP_KEY_STORE.get().signing_key().algorithm == "RS256"


def test_doctor_tries_it(app: Flask) -> None:
    register(app, "wiki")
    with app.app_context():
        rotate(RotationCause.DUE, request=RequestInfo())
        assert check_signing_keys().level is Level.OK
        damaged = update(table_of(AppSigningKey)).values(private_sealed=b"damaged")
        with transaction():
            execute(damaged)
    APP_KEY_STORE.fill(app, KeyStore(RS256))
    with app.app_context():
        assert check_signing_keys().level is Level.FAILURE


def test_it_is_rotated_and_retired_in_time(
    app: Flask, clock: time_machine.Traveller, make_app: Callable[..., Flask]
) -> None:
    register(app, "wiki")
    (first,) = rsa_keys(app)
    clock.shift(timedelta(days=90))
    # Another process, because a copy ages by a clock of its own.
    both = rsa_keys(make_app(features=("oidc",)))
    assert next(key["kid"] for key in both) == first["kid"]
    assert len(both) == 2
    # Published for 332 s, 2 s of cache, an hour of the longest token, and twice 30 s.
    clock.shift(332 + 2 + 3_600 + 60)
    (second,) = rsa_keys(make_app(features=("oidc",)))
    assert second["kid"] == both[1]["kid"]


def test_off_it_costs_nothing(make_app: Callable[..., Flask]) -> None:
    plain = make_app()
    with plain.app_context():
        rotate(RotationCause.DUE, family=RS256, request=RequestInfo())
        db.session.remove()
    with statements_of_sqlite() as sent:
        assert rsa_keys(plain) == []
    assert not [statement for statement in sent if "app_signing_keys" in statement]


def test_an_empty_copy_stays_in_use_while_the_database_is_away(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**_told: object) -> None:
        raise OperationalError("SELECT", {}, Exception())

    times = iter(range(0, 100, 10))
    keys = KeyStore(RS256, monotonic=lambda: next(times))
    with app.app_context():
        keys.warm_up()
        monkeypatch.setattr(store, "read_keys", fail)
        assert keys.jwks() == []
