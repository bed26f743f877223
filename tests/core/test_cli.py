"""Behaviour that all commands share: output, errors, confirmation, standard input."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.app import create_app
from authserve.core.cli import (
    YES_OPTION,
    Command,
    TimeParam,
    act_on_each,
    confirm,
    decode_text,
    expand_stdin,
    read_line,
)
from authserve.core.cli_output import (
    open_output,
    print_document,
    print_hint,
    print_result,
    print_rows,
)
from authserve.core.errors import NotFoundError, ValidationFailedError
from authserve.core.identifiers import InvalidIdentifierError
from authserve.core.ndjson import export_objects
from authserve.database.transactions import transaction
from authserve.outbox.enqueue import enqueue
from authserve.outbox.inspect import list_messages
from tests.conftest import make_settings
from tests.support import processes
from tests.support.commands import run_flask
from tests.support.marks import both_databases
from tests.support.people import make_user


def run(work: Callable[[], Any], *args: str, stdin: str | bytes = "") -> Result:
    """Run a command that does `work`."""

    @click.command(cls=Command)
    def command() -> None:
        work()

    return CliRunner().invoke(command, args, input=stdin)


def end_in(error: Exception) -> Callable[[], None]:
    def work() -> None:
        click.echo("begun")
        raise error

    return work


# Errors


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
        (OSError(28, "No space left on device"), "Error: No space left on device.\n"),
        (OSError(2, "No such file", "a.csv"), "Error: a.csv: No such file.\n"),
    ],
)
def test_refusals_are_one_line_without_a_traceback(error: Exception, told: str) -> None:
    result = run(end_in(error))
    assert result.exit_code == 1
    assert result.stdout == "begun\n"
    assert result.stderr.startswith(told)
    assert "Traceback" not in result.stderr


def test_a_bug_is_not_hidden() -> None:
    assert isinstance(run(end_in(LookupError("a bug"))).exception, LookupError)


@both_databases
def test_a_database_that_is_not_migrated_is_reported_with_the_remedy(app: Flask) -> None:
    @app.cli.command("count", cls=Command)
    def count() -> None:
        with transaction() as session:
            session.execute(text("SELECT count(*) FROM tables_of_the_next_release"))

    result = app.test_cli_runner().invoke(args=["count"])
    assert result.exit_code == 1
    assert "tables_of_the_next_release" in result.stderr
    assert "flask db upgrade" in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize("command", ["users list", "sessions purge", "keys list", "audit verify"])
def test_a_database_that_is_away_is_reported_without_its_password(
    tmp_path: Path, command: str
) -> None:
    url = "postgresql+psycopg2://authserve:hunter2@127.0.0.1:1/authserve"
    app = create_app(make_settings(url, tmp_path))
    result = app.test_cli_runner().invoke(args=command.split())
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The database does not serve (connection to server")
    assert "hunter2" not in result.output
    assert len(result.stderr.splitlines()) == 1


def test_a_file_that_is_no_database_is_reported_by_every_command(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("no database, " * 100)
    app = create_app(make_settings(f"sqlite:///{tmp_path}/no.db", tmp_path))
    runner = app.test_cli_runner()
    result = runner.invoke(args=["users", "list"])
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: The database does not serve (file is not a")
    assert len(result.stderr.splitlines()) == 1
    result = runner.invoke(args=["db", "current"])
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)


def test_output_that_cannot_be_written_fails_in_one_line(
    app: Flask, database_url: str, tmp_path: Path
) -> None:
    with app.app_context():
        make_user("alice")
    command = ["flask", "--app", "wsgi:app", "users", "list"]
    environ = {"APP_ENV": "test", "SECRET_KEY": "x" * 32, "DATABASE_URL": database_url}
    full, errors = Path("/dev/full"), tmp_path / "errors"
    process = processes.start(*command, folder=tmp_path, environ=environ, out=full, err=errors)
    assert process.wait() == 1
    assert errors.read_text() == "Error: No space left on device.\n"

    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        result = run_flask(
            "users", "export", "-", database_url=database_url, folder=tmp_path, stdout=closed
        )
    assert result.returncode == 1
    assert result.stderr.decode() == (
        "Error: Standard output was closed before everything was written.\n"
    )


def test_a_command_without_standard_output_does_its_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done: list[str] = []

    @click.command(cls=Command)
    def command() -> None:
        sys.stdout.write("Alembic writes so.")
        print_result("done")
        done.append("work")

    monkeypatch.setattr(sys, "stdout", None)
    command.main([], standalone_mode=False)
    assert done == ["work"]
    sys.stdout.close()


# Output


def test_output_is_utf8_whatever_the_locale(app: Flask, database_url: str, tmp_path: Path) -> None:
    with app.app_context(), transaction():
        enqueue("letter", {"name": "Zoë Łukasz 李"})
        message = list_messages(limit=1)[0]
    result = run_flask(
        "outbox",
        "show",
        str(message.id),
        database_url=database_url,
        folder=tmp_path,
        LC_ALL="C",
        PYTHONUTF8="0",
        PYTHONCOERCECLOCALE="0",
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert json.loads(result.stdout.decode("utf-8"))["payload"]["name"] == "Zoë Łukasz 李"


ROWS = [
    {"id": 1, "name": "Zoë 李", "tags": ["a", "b"], "on": True, "hidden": "x"},
    {"id": 22, "name": "\x1b[31mred\n", "tags": [], "on": False, "hidden": None},
]
COLUMNS = {"ID": "id", "NAME": "name", "TAGS": "tags", "ON": "on"}


def print_all() -> None:
    print_rows(ROWS, columns=COLUMNS, empty="There is none.")


def test_a_table_has_a_header_and_aligned_columns() -> None:
    assert run(print_all).stdout.splitlines() == [
        "ID  NAME           TAGS  ON",
        "1   Zoë 李         a,b   yes",
        "22  \\x1b[31mred\\n  -     no",
    ]


def test_json_is_one_whole_object_a_line() -> None:
    result = run(print_all, "--json")
    assert [json.loads(line) for line in result.stdout.splitlines()] == ROWS
    assert "Zoë" in result.stdout


HOSTILE = "\x1b]0;a\x07 \x7f\x85\x9b31m \u202e\U000e0041"
"""Commands to a terminal in C0, DEL and C1, and marks that hide or reorder text."""


@pytest.mark.parametrize("is_one_of_many", [True, False])
def test_no_text_in_json_controls_the_terminal(is_one_of_many: bool) -> None:
    document = {HOSTILE: [HOSTILE, "Zoë 李"]}
    printed = run(lambda: print_document(document, is_one_of_many=is_one_of_many)).stdout
    assert printed.replace("\n", "").isprintable()
    assert "Zoë 李" in printed
    assert json.loads(printed) == document


def test_no_sentence_controls_the_terminal() -> None:
    def work() -> None:
        print_result(f"{HOSTILE}\nsecond line")
        print_hint(HOSTILE)
        raise click.ClickException(f"{HOSTILE}\nsecond line")

    result = run(work)
    assert result.stdout.count("\n") == 2
    assert result.stderr.count("\n") == 3
    assert result.output.replace("\n", "").isprintable()


def test_no_exported_line_controls_the_terminal(tmp_path: Path) -> None:
    file = tmp_path / "objects.ndjson"
    run(lambda: export_objects(file, [{"name": HOSTILE}], noun="objects"))
    written = file.read_text(encoding="utf-8")
    assert written.strip("\n").isprintable()
    assert json.loads(written) == {"name": HOSTILE}


def test_an_empty_list_is_a_hint() -> None:
    def work() -> None:
        print_rows([], columns=COLUMNS, empty="There is none.")

    assert (run(work).stdout, run(work).stderr) == ("", "There is none.\n")
    assert run(work, "--json").output == ""


def test_rows_are_written_while_they_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authserve.core.cli_output.WIDTH_ROWS", 2)

    def rows() -> Iterator[dict[str, Any]]:
        yield from (ROWS[0], ROWS[0], ROWS[0])
        raise NotFoundError

    def work() -> None:
        print_rows(rows(), columns={"ID": "id"}, empty="")

    assert run(work).stdout == "ID\n1\n1\n1\n"


def test_a_result_is_a_sentence_or_json() -> None:
    def work() -> None:
        print_result("2 made.", made=2)

    assert run(work).stdout == "2 made.\n"
    assert json.loads(run(work, "--json").stdout) == {"made": 2}


def test_a_file_that_could_not_be_completed_is_deleted(tmp_path: Path) -> None:
    file = tmp_path / "export"

    def work() -> None:
        with open_output(file) as target:
            target.write("half")
            raise NotFoundError

    assert run(work).exit_code == 1
    assert not file.exists()


# Confirmation


@click.command(cls=Command)
@YES_OPTION
def end_all(yes: bool) -> None:
    confirm("This ends all. Continue?", yes=yes)
    print_result("Ended.", ended=True)


@pytest.mark.parametrize(
    ("args", "stdin", "stdout"),
    [
        ("", "y\n", "Ended.\n"),
        ("--yes", "", "Ended.\n"),
        ("--yes --json", "", '{\n  "ended": true\n}\n'),
        ("", "n\n", ""),
        ("", "", ""),
    ],
)
def test_nothing_is_done_without_a_confirmation(args: str, stdin: str, stdout: str) -> None:
    result = CliRunner().invoke(end_all, args.split(), input=stdin)
    assert (result.stdout, result.exit_code) == (stdout, 0 if stdout else 1)
    if not stdout:
        assert "Error: Nothing was changed." in result.stderr


# Input


@pytest.mark.parametrize(
    "stdin",
    [
        "päss word\nmore\n".encode(),
        "päss word\r\nmore\r\n".encode(),
        "\ufeffpäss word\r\n".encode(),
        "\ufeffpäss word\r\nmore".encode("utf-16-le"),
        "\ufeffpäss word".encode("utf-16-be"),
    ],
)
def test_a_line_of_standard_input_has_no_mark_and_no_end(stdin: bytes) -> None:
    found: list[str] = []
    run(lambda: found.append(read_line()), stdin=stdin)
    assert found == ["päss word"]


def test_bytes_that_are_no_text_become_surrogates() -> None:
    assert decode_text(b"a\xff") == "a\udcff"
    assert decode_text(b"\xff\xfea") == "\udcff\udcfea"


def test_a_dash_is_the_lines_of_standard_input() -> None:
    found: list[str] = []
    stdin = "\ufeffalice\r\n\r\n  bob \n"
    run(lambda: found.extend(expand_stdin(["bob", "-", "carol"])), stdin=stdin)
    assert found == ["bob", "alice", "carol"]
    result = run(lambda: expand_stdin(["-"]), stdin="\n")
    assert result.stderr == "Error: There is nothing on standard input.\n"


def test_one_of_several_that_is_refused_does_not_keep_the_others_back() -> None:
    def act(name: str) -> None:
        if name == "b":
            raise NotFoundError
        click.echo(name)

    result = run(lambda: act_on_each(["a", "b", "c"], act, name=str))
    assert (result.exit_code, result.stdout) == (1, "a\nc\n")
    assert result.stderr == "Error: b: There is no such resource.\n"
    assert run(lambda: act_on_each(["b"], act, name=str)).stderr == (
        "Error: There is no such resource.\n"
    )


def test_times_are_read_with_their_offset() -> None:
    expected = datetime(2026, 11, 23, 6, tzinfo=UTC)
    for text_ in ("2026-11-23T06:00:00Z", "2026-11-23T07:00:00+01:00"):
        assert TimeParam().convert(text_, None, None) == expected
    naive = "2026-11-23T06:00:00"
    assert TimeParam(is_utc_implied=True).convert(naive, None, None) == expected
    for text_ in ("yesterday", naive, "0001-01-01T00:00:00+14:00"):
        with pytest.raises(click.BadParameter):
            TimeParam().convert(text_, None, None)
