"""How commands fail: one clear line, and status 1."""

from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.app import create_app
from authserve.core.cli import tell_errors
from authserve.core.db import transaction
from authserve.core.errors import NotFoundError, ValidationFailedError
from authserve.core.identifiers import InvalidIdentifierError
from tests.conftest import make_settings


def run(error: Exception | None = None) -> Result:
    """Run a command that ends in `error`."""

    @click.command()
    @tell_errors
    def command() -> None:
        click.echo("begun")
        if error is not None:
            raise error

    return CliRunner().invoke(command)


def test_a_command_that_goes_well_is_left_alone() -> None:
    result = run()
    assert (result.exit_code, result.stdout, result.stderr) == (0, "begun\n", "")


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (NotFoundError(), "Error: There is no such resource.\n"),
        (NotFoundError("No such key."), "Error: No such key.\n"),
        (InvalidIdentifierError("Not a valid email address."), "Error: Not a valid email address."),
        (
            ValidationFailedError({"email": ["Bad.", "Very bad."], "roles": ["Worse."]}),
            "Error: email: Bad. Very bad.\nroles: Worse.\n",
        ),
        (PoolTimeoutError("QueuePool limit"), "Error: The database does not serve (QueuePool "),
    ],
)
def test_what_the_service_refuses_is_told_without_a_traceback(error: Exception, told: str) -> None:
    result = run(error)
    assert result.exit_code == 1
    assert result.stdout == "begun\n"
    assert result.stderr.startswith(told)
    assert "Traceback" not in result.stderr


def test_a_bug_is_not_hidden() -> None:
    assert isinstance(run(LookupError("a bug")).exception, LookupError)


def test_a_database_that_is_not_migrated_is_told_with_the_remedy(app: Flask) -> None:
    @app.cli.command("count")
    @tell_errors
    def count() -> None:
        with transaction() as session:
            session.execute(text("SELECT count(*) FROM tables_of_the_next_release"))

    result = app.test_cli_runner().invoke(args=["count"])
    assert result.exit_code == 1
    assert "tables_of_the_next_release" in result.stderr
    assert "flask db upgrade" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg2://authserve:hunter2@127.0.0.1:1/authserve"
    app = create_app(make_settings(url, tmp_path))
    result = app.test_cli_runner().invoke(args=["users", "list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The database does not serve (connection to server")
    assert "hunter2" not in result.output
    assert len(result.stderr.splitlines()) == 1
