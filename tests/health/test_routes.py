from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import downgrade
from sqlalchemy import event
from sqlalchemy.engine import Engine

from authserve.database.transactions import transaction
from authserve.outbox.enqueue import enqueue
from tests.conftest import Log
from tests.support.marks import both_databases


@pytest.fixture
def connections() -> Any:
    """The database connections that were taken from a pool since the test began."""
    taken: list[object] = []

    def take(*told: object) -> None:
        taken.append(told)

    event.listen(Engine, "checkout", take)
    yield taken
    event.remove(Engine, "checkout", take)


def test_it_is_healthy_without_a_database_query(
    client: FlaskClient, connections: list[object]
) -> None:
    for method in ("GET", "HEAD"):
        assert client.open("/healthz", method=method).status_code == 200
    assert client.get("/healthz").get_json() == {"status": "ok"}
    assert connections == []
    client.get("/readyz")
    assert connections


@both_databases
def test_it_is_healthy_and_not_ready_without_its_database(
    client: FlaskClient, lose_database: Callable[[], None], log: Log
) -> None:
    assert client.get("/readyz").status_code == 200
    lose_database()
    assert client.get("/healthz").status_code == 200

    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.get_json()["status"] == "unavailable"
    checks = response.get_json()["checks"]
    assert (checks["database"], checks["migrations"]) == ("unavailable", "unknown")
    assert int(response.headers["Retry-After"]) >= 1
    assert response.headers["Cache-Control"] == "no-store"
    (told,) = [line for line in log() if line["event"] == "database not ready"]
    assert told["level"] == "WARNING"


@both_databases
def test_it_is_ready_when_its_dependencies_are(client: FlaskClient) -> None:
    response = client.get("/readyz")
    assert response.status_code == 200
    assert response.get_json()["status"] == "ok"
    checks = response.get_json()["checks"]
    assert (checks["database"], checks["migrations"]) == ("ok", "ok")
    assert response.headers["Cache-Control"] == "no-store"
    assert "Retry-After" not in response.headers


@both_databases
def test_it_is_not_ready_before_its_migrations(app: Flask, client: FlaskClient) -> None:
    with app.app_context():
        downgrade(revision="base")
    response = client.get("/readyz")
    assert response.status_code == 503
    checks = response.get_json()["checks"]
    assert (checks["database"], checks["migrations"]) == ("ok", "pending")
    assert client.get("/healthz").status_code == 200


def test_it_needs_no_authentication(client: FlaskClient) -> None:
    for path in ("/healthz", "/readyz"):
        for authorization in ("Bearer x", "Basic YTpi", "Bearer a, Bearer b"):
            response = client.get(path, headers={"Authorization": authorization})
            assert response.status_code == 200


def test_a_query_of_a_monitor_does_no_harm(client: FlaskClient) -> None:
    assert client.get("/healthz?cache-buster=1").status_code == 200


def test_readyz_reports_waiting_mail_and_stays_ready(
    app: Flask, clock: time_machine.Traveller
) -> None:
    client = app.test_client()
    assert client.get("/readyz").get_json()["checks"]["mail"] == "ok"
    with app.app_context(), transaction():
        enqueue("verify_email", {"email": "alice@example.com"})
    clock.shift(timedelta(minutes=9))
    assert client.get("/readyz").get_json()["checks"]["mail"] == "ok"
    clock.shift(timedelta(minutes=1))
    response = client.get("/readyz")
    assert (response.status_code, response.get_json()["checks"]["mail"]) == (200, "delayed")
