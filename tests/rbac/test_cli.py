"""`flask roles`."""

import json
from collections.abc import Callable

import pytest
from click.testing import Result
from flask.testing import FlaskCliRunner

from tests.support.audit import all_events
from tests.support.people import make_user
from tests.support.tables import read_table

pytestmark = pytest.mark.usefixtures("context")

Run = Callable[..., Result]


@pytest.fixture
def run(runner: FlaskCliRunner) -> Run:
    return lambda *args: runner.invoke(args=["roles", *args])


def create(run: Run) -> Result:
    permissions = ["--permission", "users:read", "--permission", "billing:refund"]
    return run("create", "support", *permissions, "--description", "May look.")


def test_a_role_is_made_shown_listed_and_deleted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("authserve.rbac.cli.PAGE_SIZE", 1)
    made = json.loads(create(run).stdout)
    assert made == {
        "name": "support",
        "description": "May look.",
        "permissions": ["billing:refund", "users:read"],
        "requires_mfa": False,
    }
    assert json.loads(run("show", "support").stdout) == made
    header, *rows = read_table(run("list").stdout)
    assert header == ["NAME", "MFA", "PERMISSIONS", "DESCRIPTION"]
    assert [row[0] for row in rows] == ["admin", "support", "user"]
    assert rows[1][1:] == ["no", "billing:refund,users:read", "May look."]
    assert run("delete", "support").stdout == "The role support is deleted.\n"
    assert len(run("list", "--json").stdout.splitlines()) == 2
    events = [(event.action, event.actor, event.user_agent) for event in all_events()]
    assert events == [
        ("role.created", None, "flask roles create"),
        ("role.deleted", None, "flask roles delete"),
    ]


def test_a_role_needs_a_second_factor_from_the_command_line(run: Run) -> None:
    """The operator of a service whose administrators lost their factors has no session."""
    assert json.loads(run("create", "auditor", "--requires-mfa").stdout)["requires_mfa"] is True
    for switch, is_on in (("on", True), ("off", False), ("off", False)):
        changed = json.loads(run("requires-mfa", "admin", switch).stdout)
        assert (changed["name"], changed["requires_mfa"]) == ("admin", is_on)
    events = [event for event in all_events() if event.action == "role.changed"]
    assert [(event.user_agent, event.details) for event in events] == [
        ("flask roles requires-mfa", {"role": "admin", "requires_mfa": is_on})
        for is_on in (True, False)
    ]
    assert run("requires-mfa", "admin", "perhaps").exit_code == 2
    assert_refused(run("requires-mfa", "king", "on"), "There is no such role.")


def assert_refused(result: Result, told: str) -> None:
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith(f"Error: {told}")


def test_what_the_api_refuses_is_refused(run: Run) -> None:
    assert_refused(run("create", "No Name"), "name: ")
    assert_refused(run("create", "r", "--permission", "users:fly"), "permissions.0: ")
    assert_refused(run("create", "admin"), "There is a role of this name already.")
    assert_refused(run("show", "king"), "There is no such role.")
    assert_refused(run("delete", "king"), "There is no such role.")
    assert_refused(run("delete", "admin"), "The roles admin and user")
    create(run)
    make_user("alice", roles=["support"])
    assert_refused(run("delete", "support"), "A user holds this role.")
