"""Every call while the database refuses: 503 with Retry-After, and never 500."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from flask_migrate import downgrade
from sqlalchemy import event

from authserve.database.transactions import db
from tests.conftest import PostgreSQL
from tests.support.clients import Caller
from tests.support.marks import both_databases, on_postgresql
from tests.support.operations import API_FEATURES, read_operations
from tests.support.problems import assert_problem

pytestmark = both_databases

Break = Callable[[], None]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with ordinary limits, which count in the database as well."""
    return make_app(ratelimit_enabled=True, features=API_FEATURES)


@pytest.fixture
def make_read_only(app: Flask, request: pytest.FixtureRequest) -> Break:
    """Make the database read-only, for every connection."""

    def break_() -> None:
        with app.app_context():
            db.engine.dispose()
            if db.engine.dialect.name == "sqlite":
                event.listen(db.engine, "connect", _query_only)
                return
            postgresql: PostgreSQL = request.getfixturevalue("postgresql")
            name = db.engine.url.database
            postgresql.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')

    return break_


def _query_only(dbapi_connection: Any, _record: object) -> None:
    dbapi_connection.execute("PRAGMA query_only = 1")


@pytest.fixture
def unmigrate(app: Flask) -> Break:
    """Remove all tables."""

    def break_() -> None:
        with app.app_context():
            downgrade(revision="base")

    return break_


@pytest.fixture
def take_privileges(app: Flask, request: pytest.FixtureRequest) -> Break:
    """Connect the service as a role without privileges."""

    def break_() -> None:
        postgresql: PostgreSQL = request.getfixturevalue("postgresql")
        name = f"stranger_{uuid4().hex}"
        postgresql.execute(f"CREATE ROLE {name}")
        with app.app_context():
            db.engine.dispose()
            event.listen(db.engine, "connect", _become(name))
        request.addfinalizer(lambda: postgresql.execute(f"DROP ROLE {name}"))

    return break_


def _become(role: str) -> Callable[[Any, object], None]:
    def set_role(dbapi_connection: Any, _record: object) -> None:
        with dbapi_connection.cursor() as cursor:
            cursor.execute(f"SET ROLE {role}")
        dbapi_connection.commit()

    return set_role


def assert_no_call_is_a_fault(app: Flask, caller: Caller) -> None:
    """Send every call of the service, as an administrator and as a visitor."""
    refused = []
    for operation in read_operations(app):
        path = operation.path
        for name in operation.path_parameters:
            path = path.replace(f"{{{name}}}", str(uuid4()))
        body = {"json": operation.example} if operation.body else {}
        for client in (caller, app.test_client()):
            send = client.call if isinstance(client, Caller) else _visit(client)
            response = send(operation.method, path, **body)
            assert response.status_code != 500, operation
            if response.status_code == 503 and path != "/readyz":
                assert_problem(response, 503, "service_unavailable")
                assert int(response.headers["Retry-After"]) >= 1
                refused.append(str(operation))
    assert "POST /api/v1/auth/login" in refused
    readiness = app.test_client().get("/readyz")
    assert readiness.status_code == 503
    assert int(readiness.headers["Retry-After"]) >= 1


def _visit(client: FlaskClient) -> Callable[..., Any]:
    return lambda method, path, **kwargs: client.open(path, method=method, **kwargs)


def test_a_read_only_database_is_no_fault(app: Flask, admin: Caller, make_read_only: Break) -> None:
    make_read_only()
    assert_no_call_is_a_fault(app, admin)
    assert admin.get("/api/v1/users/me").status_code == 200
    checks = app.test_client().get("/readyz").get_json()["checks"]
    assert (checks["database"], checks["migrations"]) == ("read-only", "ok")


def test_a_database_that_is_not_migrated_is_no_fault(
    app: Flask, admin: Caller, unmigrate: Break
) -> None:
    unmigrate()
    assert_no_call_is_a_fault(app, admin)
    checks = app.test_client().get("/readyz").get_json()["checks"]
    assert (checks["database"], checks["migrations"]) == ("ok", "pending")


@on_postgresql
def test_a_role_without_privileges_is_no_fault(
    app: Flask, admin: Caller, take_privileges: Break
) -> None:
    take_privileges()
    assert_no_call_is_a_fault(app, admin)
    checks = app.test_client().get("/readyz").get_json()["checks"]
    assert checks["database"] == "unavailable"
