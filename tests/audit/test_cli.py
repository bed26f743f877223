"""`flask audit`."""

import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import time_machine
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import select

from authserve.audit.models import AuditBatch, AuditEvent
from authserve.database.transactions import read_all
from tests.support.clients import Caller
from tests.support.marks import both_databases
from tests.support.trail import ALICE, event_ids, seal_all, unguarded, write_events

pytestmark = pytest.mark.usefixtures("context")

Run = Callable[..., Result]


@pytest.fixture
def run(runner: FlaskCliRunner) -> Run:
    return lambda *args: runner.invoke(args=["audit", *args])


def last_head() -> tuple[int, str]:
    row = read_all(select(AuditBatch.seq, AuditBatch.head).order_by(AuditBatch.seq.desc()))[0]
    return row.seq, row.head.hex()


# verify


@both_databases
def test_verify_reports_its_findings(run: Run) -> None:
    write_events(3)
    seal_all()
    write_events(2)
    result = run("verify")
    seq, head = last_head()
    assert result.exit_code == 0
    assert result.stdout == (
        "The audit trail is whole: 3 events in 1 batches, 0 pruned, 2 not sealed yet.\n"
        f"Its end is {seq}:{head}\n"
    )
    assert run("verify", "--head", f"{seq}:{head}").exit_code == 0


def test_verify_of_a_new_service_finds_nothing_wrong(run: Run) -> None:
    assert run("verify").stdout.startswith(
        "The audit trail is whole: 0 events in 0 batches, 0 pruned, 0 not sealed yet.\n"
    )


def test_verify_names_the_fault_in_one_line_and_fails(run: Run) -> None:
    ids = write_events(3)
    seal_all()
    with unguarded() as session:
        session.execute(AuditEvent.__table__.delete().where(AuditEvent.id == ids[1]))
    result = run("verify")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1] == (
        "Error: The audit trail was tampered with: "
        f"event {ids[1]} was removed (batch 1, position 1)."
    )


def test_verify_holds_the_chain_against_the_log(run: Run) -> None:
    write_events()
    seal_all()
    result = run("verify", "--head", f"1:{'0' * 64}")
    assert result.exit_code == 1
    assert "batch 1 is not the one that was logged" in result.stderr
    result = run("verify", "--head", f"2:{'0' * 64}")
    assert "batch 2 was logged, but the chain ends at batch 1" in result.stderr


@pytest.mark.parametrize("head", ["1", "1:xyz", "x:00", ":"])
def test_verify_refuses_a_head_that_is_none(run: Run, head: str) -> None:
    result = run("verify", "--head", head)
    assert result.exit_code == 2
    assert "BATCH:HEAD" in result.stderr


# export


def test_export_writes_every_event_to_standard_output(run: Run, alice: Caller) -> None:
    write_events()
    seal_all()
    lines = [json.loads(line) for line in run("export", "-").stdout.splitlines()]
    assert [line["id"] for line in lines] == [str(event_id) for event_id in event_ids()]
    # The first sign-in made a signing key, which is an event of its own.
    registered, started, forged = [line for line in lines if line["action"] != "key.rotated"]
    shown = alice.get("/api/v1/users/me/events").get_json()["items"]
    for line, item in zip((registered, started), reversed(shown), strict=True):
        assert item == {name: line[name] for name in item}
    assert started["actor_audit_id"] == started["subject_audit_id"]
    assert (forged["actor_id"], forged["actor_audit_id"]) == (None, str(ALICE.audit_id))
    assert forged["details"]["name"] == "Ä\x7f😀"
    assert {line["batch"] for line in lines} == {1}


def test_export_takes_bounds(run: Run, clock: time_machine.Traveller) -> None:
    write_events()
    clock.shift(timedelta(hours=1))
    (later,) = write_events()
    after = run("export", "--after", "2030-01-01T13:00:00+01:00", "-")
    assert [json.loads(line)["id"] for line in after.stdout.splitlines()] == [str(later)]
    before = run("export", "--before", "2030-01-01T12:00:00Z", "-")
    assert before.stdout == ""


@pytest.mark.parametrize("moment", ["yesterday", "2030-01-01T12:00:00", "2030-01-01"])
def test_export_refuses_what_is_no_moment(run: Run, moment: str) -> None:
    result = run("export", "--after", moment, "-")
    assert result.exit_code == 2
    assert "2026-11-23T06:49:48Z" in result.stderr


def test_export_makes_a_file_for_its_owner_and_never_overwrites(run: Run, tmp_path: Path) -> None:
    write_events(2)
    file = tmp_path / "events.ndjson"
    result = run("export", str(file))
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith(f"2 events written to {file}.\n")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(file.read_text(encoding="utf-8").splitlines()) == 2
    for target, reason in ((file, "exists already"), (tmp_path / "no" / "x", "No such file")):
        result = run("export", str(target))
        assert result.exit_code == 1
        assert f"{target} cannot be made: {reason}" in result.stderr


# seal, prune, rewrap


def test_seal_and_prune_report_their_work(run: Run, clock: time_machine.Traveller) -> None:
    write_events(3)
    assert run("seal").stdout == "3 events sealed in 1 batches.\n"
    assert run("prune").stdout == "0 events deleted that were older than 400 days.\n"
    clock.shift(timedelta(days=401))
    result = run("prune")
    assert result.stdout == "3 events deleted that were older than 400 days.\n"
    assert "3 deleted so far" in result.stderr
    assert "0 events in 1 batches, 3 pruned" in run("verify").stdout


def test_rewrap_lets_a_former_secret_go(run: Run, make_app: Callable[..., Flask]) -> None:
    write_events()
    seal_all()
    new = "another secret for tests alone, 98765"
    old = "a secret for tests alone, 0123456789"

    def run_under(*args: str, **settings: object) -> Result:
        app = make_app(**settings)
        with app.app_context():
            return app.test_cli_runner(capture="fd").invoke(args=["audit", *args])

    result = run_under("rewrap", secret_key=new)
    assert result.exit_code == 1
    assert "Put the former SECRET_KEY back: no configured secret verifies batch 1." in result.stderr
    result = run_under("rewrap", secret_key=new, secret_key_fallbacks=(old,))
    assert result.stdout == "1 batches authenticated under the current SECRET_KEY.\n"
    assert run_under("verify", secret_key=new).exit_code == 0
    assert run("verify").exit_code == 1


@pytest.mark.parametrize("command", ["verify", "export", "seal", "prune", "rewrap"])
def test_help_has_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"flask audit {command}" in result.stdout
