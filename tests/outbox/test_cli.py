"""`flask outbox`: messages as operators see them."""

import json
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.database.transactions import transaction
from authserve.outbox.delivery import claim, mark_dropped
from authserve.outbox.enqueue import enqueue
from tests.outbox.conftest import KIND
from tests.support.marks import both_databases
from tests.support.messages import change_messages, messages
from tests.support.tables import read_table


@pytest.fixture
def message_id(app: Flask) -> UUID:
    """A pending message."""
    with app.app_context(), transaction():
        return enqueue(KIND, {"email": "alice@example.com"}, topic="t")


def test_it_lists_messages_newest_first(
    app: Flask, runner: FlaskCliRunner, message_id: UUID
) -> None:
    with app.app_context():
        claimed = claim([KIND])
        assert claimed is not None
        mark_dropped(claimed, "no account has this address")
        with transaction():
            newer = enqueue(KIND, {}, topic="t")
    header, *lines = read_table(runner.invoke(args=["outbox", "list"]).stdout)
    assert header == ["ID", "STATE", "KIND", "ATTEMPTS", "CREATED", "LAST ERROR"]
    assert [line[:4] for line in lines] == [
        [str(newer), "pending", KIND, "0"],
        [str(message_id), "dropped", KIND, "1"],
    ]
    assert [line[5] for line in lines] == ["-", "no account has this address"]
    assert all(line[4].endswith("Z") for line in lines)


def test_it_lists_one_state_and_no_more_than_asked(
    app: Flask, runner: FlaskCliRunner, message_id: UUID
) -> None:
    assert runner.invoke(args=["outbox", "list", "--state", "dead"]).stdout == ""
    with app.app_context(), transaction():
        enqueue(KIND, {})
    one = runner.invoke(args=["outbox", "list", "--state", "pending", "--limit", "1"])
    assert len(one.stdout.splitlines()) == 2


def test_it_shows_a_message_as_json(runner: FlaskCliRunner, message_id: UUID) -> None:
    shown = json.loads(runner.invoke(args=["outbox", "show", str(message_id)]).output)
    assert shown == {
        "id": str(message_id),
        "kind": KIND,
        "state": "pending",
        "user_id": None,
        "payload": {"email": "alice@example.com", "locale": None},
        "attempts": 0,
        "last_error": None,
        "created_at": shown["created_at"],
        "next_attempt_at": shown["created_at"],
        "leased_until": None,
        "finished_at": None,
    }


@both_databases
def test_it_lets_a_dead_message_be_tried_again(
    app: Flask, runner: FlaskCliRunner, message_id: UUID
) -> None:
    change_messages(app, state="dead")
    result = runner.invoke(args=["outbox", "retry", str(message_id)])
    assert (result.exit_code, result.output) == (0, "The worker will try it again.\n")
    assert messages(app)[0]["state"] == "pending"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["show", str(uuid4())], "Error: There is no such message."),
        (["retry", str(uuid4())], "Error: There is no such message."),
        (["show", "1"], "Error: Invalid value for 'MESSAGE_ID': '1' is not a valid UUID."),
        (["list", "--state", "lost"], "'lost' is not one of"),
        (["list", "--limit", "0"], "Invalid value for '--limit'"),
    ],
)
def test_it_reports_errors_in_one_line(
    runner: FlaskCliRunner, arguments: list[str], error: str
) -> None:
    result = runner.invoke(args=["outbox", *arguments])
    assert result.exit_code != 0
    assert error in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


def test_it_refuses_to_retry_what_is_not_dead(runner: FlaskCliRunner, message_id: UUID) -> None:
    result = runner.invoke(args=["outbox", "retry", str(message_id)])
    assert result.exit_code == 1
    assert result.stderr == "Error: Only a message that was given up can be tried again.\n"


@both_databases
def test_it_reports_a_missing_database(app: Flask, runner: FlaskCliRunner) -> None:
    with app.app_context(), transaction() as session:
        session.connection().exec_driver_sql("DROP TABLE outbox_messages")
    result = runner.invoke(args=["outbox", "list"])
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: The database does not serve")


@pytest.mark.parametrize(
    "command", [["outbox", "list"], ["outbox", "show"], ["outbox", "retry"], ["worker"]]
)
def test_every_command_has_an_example(runner: FlaskCliRunner, command: list[str]) -> None:
    result = runner.invoke(args=[*command, "--help"])
    assert result.exit_code == 0
    _, _, example = result.output.partition("Example:\n")
    assert example.startswith(f"    flask {' '.join(command)}")
