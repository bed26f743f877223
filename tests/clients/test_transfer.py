"""`flask clients export` and `import`."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.clients.claims import ClaimRule, ClaimSource
from authserve.clients.configuration import PROXY_SCOPES
from authserve.clients.kinds import ClientKind
from authserve.clients.registry import delete_client, find_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.database.statements import Base
from authserve.database.transactions import execute, transaction
from tests.support.oauth_clients import give_client


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with clients."""
    return make_app(features=("oidc",))


def export(runner: FlaskCliRunner, file: Path) -> list[str]:
    result = runner.invoke(args=["clients", "export", str(file)])
    assert result.exit_code == 0, result.output
    return file.read_text(encoding="utf-8").splitlines()


def forget_clients(app: Flask) -> None:
    """Empty the tables of clients, as in another installation."""
    with app.app_context(), transaction():
        for name in ("client_secrets", "client_origins", "clients"):
            execute(Base.metadata.tables[name].delete())


def test_an_exported_client_is_the_same_where_it_is_imported(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    rule = ClaimRule(name="role", source=ClaimSource.ROLES, role_values=(("admin", "Admin"),))
    made = give_client(app, claims=(rule,), access_token_ttl=300, first_party=True)
    give_client(
        app,
        "files",
        kind=ClientKind.PROXY,
        redirect_uris=(),
        scopes=PROXY_SCOPES,
        origins=("https://files.example.com",),
    )
    lines = export(runner, tmp_path / "clients.ndjson")
    assert made.secret is not None
    assert made.secret not in "".join(lines)
    forget_clients(app)
    result = runner.invoke(args=["clients", "import", str(tmp_path / "clients.ndjson")])
    assert (result.exit_code, result.stdout) == (0, "2 clients registered.\n"), result.output
    with app.app_context():
        presented = ClientCredentials(client_id="wiki", secret=made.secret)
        found = find_authenticated_client(presented, now=now())
    assert found is not None
    assert found.configuration == made.client.configuration
    assert export(runner, tmp_path / "again.ndjson") == lines


def test_after_a_fault_nothing_is_imported(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    give_client(app)
    (line,) = export(runner, tmp_path / "clients.ndjson")
    other = json.dumps({**json.loads(line), "client_id": "other"})
    faulty = tmp_path / "faulty.ndjson"
    for last, told in (
        (line, "line 2: Another client has or had this id"),
        ("[]", "line 2: line: Not a JSON object."),
        ('{"name": "a", "name": "b"}', "line 2: line: An object has the same key twice."),
        (json.dumps({**json.loads(line), "client_id": "a", "scopes": ["x"]}), "line 2: scopes: "),
        (json.dumps({**json.loads(line), "client_id": "a", "kind": "spa"}), "line 2: secrets: "),
    ):
        faulty.write_text(f"{other}\n{last}\n")
        result = runner.invoke(args=["clients", "import", str(faulty)])
        assert (result.exit_code, told in result.stderr) == (1, True), result.output
        with app.app_context():
            assert find_client("other") is None


def test_a_deleted_client_is_not_exported(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    give_client(app)
    with app.app_context():
        delete_client("wiki", actor=OPERATOR, request=RequestInfo())
    assert export(runner, tmp_path / "clients.ndjson") == []
