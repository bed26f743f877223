"""The files of docs/deploy.md, checked against the service."""

import re
from collections.abc import Iterator
from configparser import ConfigParser
from uuid import uuid4

import psycopg2
import pytest
from flask import Flask
from flask_migrate import upgrade
from psycopg2.errors import InsufficientPrivilege

import config
from authserve.app import create_app
from authserve.database.transactions import db
from tests.conftest import PostgreSQL, make_settings
from tests.support.clients import register_caller
from tests.support.mail import open_mailbox, work

PAGE = (config.ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")

GUNICORN = (config.ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.+?)```", PAGE, re.DOTALL)


def seconds(setting: str, text: str) -> int:
    (found,) = re.findall(rf"^\s*{setting}[ =]+(\d+)s?;?$", text, re.MULTILINE)
    return int(found)


def test_its_settings_exist() -> None:
    told = {name for block in blocks("bash") for name in re.findall(r"^([A-Z_]+)=", block, re.M)}
    files = {f"{name}_FILE" for name in config.SECRETS}
    assert told
    assert told <= config.SETTINGS.keys() | files


def test_its_units_run_what_the_procfile_runs() -> None:
    procfile = dict(
        line.split(": ", 1) for line in (config.ROOT / "Procfile").read_text().splitlines()
    )
    assert set(procfile) == {"release", "web", "worker"}
    assert f"`{procfile['release']}`" in PAGE
    for name, block in zip(("web", "worker"), blocks("ini"), strict=True):
        unit = ConfigParser(interpolation=None, strict=False)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(block)
        service = unit["Service"]
        folder = service["WorkingDirectory"]
        assert service["ExecStart"] == f"{folder}/.venv/bin/{procfile[name]}"
        assert int(service["TimeoutStopSec"]) > seconds("graceful_timeout", GUNICORN)


def test_its_proxy_is_patient_and_hangs_up_first() -> None:
    (nginx,) = blocks("nginx")
    assert seconds("proxy_read_timeout", nginx) > seconds("timeout", GUNICORN)
    assert seconds("keepalive_timeout", nginx) < seconds("keepalive", GUNICORN)


def test_its_table_counts_right() -> None:
    rows = re.findall(r"^\| (\d+) \| \d+ \| (\d+) \| (\d+) \| (\d+) \|", PAGE, re.MULTILINE)
    assert len(rows) == 3
    for machines, workers, pool, total in rows:
        assert int(machines) * int(workers) * int(pool) == int(total)


@pytest.fixture
def two_roles(postgresql: PostgreSQL) -> Iterator[dict[str, str]]:
    """The URLs of the role that migrates and of the one that serves, by the page's commands."""
    name = f"authserve_{uuid4().hex[:8]}"
    own, grant = (re.sub(r"\bauthserve", name, block) for block in blocks("sql"))
    for statement in own.split(";")[:-1]:
        postgresql.execute(statement)
    urls = {
        role: postgresql.url(name).replace("//postgres:", f"//{role}:")
        for role in (f"{name}_owner", name)
    }
    with psycopg2.connect(urls[f"{name}_owner"].replace("+psycopg2", "")) as connection:
        connection.cursor().execute(grant)
    connection.close()
    yield {"owner": urls[f"{name}_owner"], "server": urls[name]}
    postgresql.drop(name)
    for role in urls:
        postgresql.execute(f"DROP ROLE {role}")


def test_the_role_that_serves_needs_no_more_than_rows(
    two_roles: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("roles")
    owner: Flask = create_app(make_settings(two_roles["owner"], folder))
    with owner.app_context():
        upgrade()
        db.engine.dispose()

    app = create_app(make_settings(two_roles["server"], folder))
    open_mailbox(app)
    admin = register_caller(app, "admin", roles=("admin",))
    assert admin.get("/readyz").status_code == 200
    assert admin.get("/api/v1/users").status_code == 200
    assert admin.post("/api/v1/auth/logout").status_code == 204
    work(app)
    for command in ("sessions purge", "keys rotate", "audit verify", "db upgrade"):
        result = app.test_cli_runner().invoke(args=command.split())
        assert result.exit_code == 0, (command, result.output)
    with app.app_context():
        connection = db.engine.raw_connection()
        with pytest.raises(InsufficientPrivilege):
            connection.cursor().execute("DROP TABLE users")
        connection.close()
        db.engine.dispose()
