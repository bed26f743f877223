"""`flask users`: accounts from the command line."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import update

from authserve.admin import administration
from authserve.admin.cli_sign_in import FAILURES, OBSTACLES
from authserve.admin.sign_in_support import SignInObstacle
from authserve.auth.policy import SignInFailure
from authserve.core.actor import UserRef
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.database.transactions import transaction
from authserve.mfa.assurance import ProofFailure
from authserve.ratelimit.throttle import count_attempt, find_block_end
from authserve.ratelimit.throttle_keys import account_key
from authserve.users.models import User
from tests.support.audit import all_events, events_of
from tests.support.clients import PASSWORD, Caller, login
from tests.support.factors import give_totp
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.people import make_user
from tests.support.second_steps import after_second_step, first_step, second_step, wrong_code
from tests.support.tables import read_table
from tests.support.totp import code_at

Run = Callable[..., Result]


@pytest.fixture
def run(runner: FlaskCliRunner) -> Run:
    """Runs `flask users`."""

    def invoke(*args: str, stdin: str | bytes | None = None) -> Result:
        return runner.invoke(args=["users", *args], input=stdin)

    return invoke


def shown(result: Result) -> dict[str, Any]:
    """The account that a command printed, and nothing beside it."""
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def assert_refused(result: Result, *lines: str) -> None:
    """Check that it failed and printed exactly `lines`, on standard error alone."""
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [f"Error: {lines[0]}", *lines[1:]]


# create


def test_create_makes_an_account_that_can_sign_in(run: Run, app: Flask) -> None:
    options = ["--username", "Alice", "--display-name", " Alice Liddell ", "--role", "admin"]
    result = run("create", "ALICE@Example.com", *options, "--password-stdin", stdin=f"{PASSWORD}\n")
    made = shown(result)
    assert result.stderr == ""
    assert (made["email"], made["username"]) == ("alice@example.com", "alice")
    assert (made["display_name"], made["roles"]) == ("Alice Liddell", ["admin", "user"])
    assert (made["is_active"], made["email_verified"]) == (True, True)
    assert "password" not in result.output
    assert login(app.test_client(), "alice").status_code == 200


def test_create_without_a_password_prints_a_link_to_set_one(run: Run, app: Flask) -> None:
    result = run("create", "alice@example.com")
    assert json.loads(result.stdout)["username"] is None
    (told,) = result.stderr.splitlines()
    sentence, _, token = told.partition("#")
    assert sentence == (
        "To set the password, open this link, once and within 3 days: "
        "http://localhost:8000/accept-invitation"
    )
    client = app.test_client()
    assert login(client, "alice@example.com").status_code == 401
    body = {"token": token, "password": PASSWORD}
    for status in (200, 400):
        assert client.post("/api/v1/auth/invitation/accept", json=body).status_code == status
    assert login(client, "alice@example.com").status_code == 200


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_create_takes_one_line_as_the_password(run: Run, app: Flask, ending: str) -> None:
    spaced = f" {PASSWORD} "
    shown(run("create", "a@example.com", "--password-stdin", stdin=f"{spaced}{ending}"))
    assert login(app.test_client(), "a@example.com", spaced).status_code == 200
    assert login(app.test_client(), "a@example.com", PASSWORD).status_code == 401


NEITHER_HALF = (
    "3 to 32 letters, digits, dots, hyphens or underscores, with a letter or digit at both ends."
)


UNACCEPTABLE = [
    (["alice"], "email: Not a valid email address."),
    (["a@example.com", "--username", "a"], f"username: {NEITHER_HALF}"),
    (["a@example.com", "--username", ""], f"username: {NEITHER_HALF}"),
    (["a@example.com", "--display-name", "\x1b[31m"], "display_name: No control characters."),
    (["a@example.com", "--display-name", ""], "display_name: 1 to 100 characters."),
    (["a@example.com", "--role", "king"], "There is no role named 'king'."),
    (["a@example.com", "--role", "\udcff"], "There is no role named '\\udcff'."),
]


def test_create_reports_each_fault(run: Run) -> None:
    for args, told in UNACCEPTABLE:
        assert_refused(run("create", *args), told)
    assert run("list").stdout == ""


POLICY = {
    "": "Standard input holds no password.",
    "\n": "Standard input holds no password.",
    "short": (
        "Use at least 8 characters. Below 15 characters, use an upper-case letter, a lower-case "
        "letter and a digit."
    ),
    "alice@example.com": "Do not use your address, your names or the name of this service.",
    b"not UTF-8: \xff\xfe, whatever it is\n": "Use text only; one of the characters is none.",
}


def test_create_applies_the_password_policy(run: Run) -> None:
    for stdin, told in POLICY.items():
        result = run("create", "alice@example.com", "--password-stdin", stdin=stdin)
        assert_refused(result, f"password: {told}")
    assert run("list").stdout == ""


def test_create_reports_all_faults_at_once(run: Run) -> None:
    assert_refused(
        run("create", "alice", "--username", "a"),
        "email: Not a valid email address.",
        f"username: {NEITHER_HALF}",
    )


def test_create_refuses_what_is_taken(run: Run) -> None:
    run("create", "alice@example.com", "--username", "alice")
    assert_refused(run("create", "Alice@EXAMPLE.com"), "Another account uses this email address.")
    assert_refused(
        run("create", "b@example.com", "--username", "ALICE"),
        "Another account uses this username.",
    )


def test_create_is_audited_as_the_command_that_it_is(run: Run, context: None) -> None:
    shown(run("create", "alice@example.com", "--role", "admin"))
    (event,) = all_events()
    assert (event.action, event.outcome, event.actor) == ("user.created", "success", None)
    assert (event.user_agent, event.ip) == ("flask users create", None)
    assert event.details == {"roles": ["admin", "user"]}


# list and show


@pytest.fixture
def alice(context: None) -> UserRef:
    """Alice, who has only the role of every user."""
    return make_user("alice")


@pytest.fixture
def only_admin(context: None) -> UserRef:
    """The only administrator."""
    return make_user("root", roles=["admin"])


def test_list_shows_accounts_oldest_first(run: Run, alice: UserRef, only_admin: UserRef) -> None:
    run("deactivate", "alice")
    assert read_table(run("list").stdout) == [
        ["ID", "EMAIL", "USERNAME", "ACTIVE", "ROLES"],
        [str(alice.id), "alice@example.com", "alice", "no", "user"],
        [str(only_admin.id), "root@example.com", "root", "yes", "admin,user"],
    ]


@both_databases
def test_list_narrows(run: Run, alice: UserRef, only_admin: UserRef) -> None:
    run("deactivate", "alice")
    for options, expected in {
        "": ["alice", "root"],
        "--active": ["root"],
        "--inactive": ["alice"],
        "--role user": ["alice", "root"],
        "--role admin": ["root"],
        "--role admin --inactive": [],
    }.items():
        result = run("list", "--json", *options.split())
        assert (result.exit_code, result.stderr) == (0, "")
        found = [json.loads(line) for line in result.stdout.splitlines()]
        assert [user["username"] for user in found] == expected, options


def test_list_continues_past_a_page(
    run: Run, context: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(administration, "PAGE_SIZE", 2)
    names = [f"user{number}" for number in range(5)]
    for name in names:
        make_user(name)
    found = [json.loads(line)["username"] for line in run("list", "--json").stdout.splitlines()]
    assert found == names


def test_list_refuses_an_unknown_role(run: Run) -> None:
    assert_refused(run("list", "--role", "king"), "There is no role named 'king'.")


def test_show_finds_an_account_by_id_address_and_username(run: Run, alice: UserRef) -> None:
    documents = [
        shown(run("show", reference))
        for reference in (str(alice.id), "ALICE@example.com", "Alice", f" {alice.id} ".upper())
    ]
    assert all(document == documents[0] for document in documents)
    assert (documents[0]["id"], documents[0]["roles"]) == (str(alice.id), ["user"])


def test_an_unknown_account_is_refused(run: Run, context: None) -> None:
    for reference in ("bob", "bob@example.com", "", "not/a name", "\udcff", str(new_id())):
        for command in ("show", "activate", "deactivate"):
            assert_refused(run(command, reference), "There is no such user.")
        for command in ("grant", "revoke"):
            assert_refused(run(command, reference, "user"), "There is no such user.")


# activate and deactivate


def test_deactivate_ends_sessions_and_activate_lets_in_again(
    run: Run, app: Flask, alice: UserRef
) -> None:
    tokens = login(app.test_client(), "alice").get_json()
    caller = Caller(app.test_client(), {"id": str(alice.id)}, tokens)
    off = run("deactivate", "alice")
    assert (off.exit_code, off.stderr) == (0, "")
    assert off.stdout == "alice@example.com is deactivated, and its sessions have ended.\n"
    assert caller.get("/api/v1/users/me").get_json()["code"] == "session_revoked"
    assert login(app.test_client(), "alice").get_json()["code"] == "account_disabled"

    on = run("activate", "alice@example.com")
    assert (on.exit_code, on.stdout) == (0, "alice@example.com is active.\n")
    assert login(app.test_client(), "alice").status_code == 200
    assert caller.get("/api/v1/users/me").status_code == 401


def test_switching_twice_is_fine_and_audited_once(run: Run, alice: UserRef) -> None:
    for command in ("deactivate", "deactivate", "activate", "activate"):
        assert run(command, "alice").exit_code == 0
    switched = events_of(alice, "user.deactivated", "user.activated")
    assert [event.action for event in switched] == ["user.deactivated", "user.activated"]
    assert switched[0].user_agent == "flask users deactivate"


LAST_ADMIN = "This is the last active administrator. Grant the role to another user first."


def test_the_last_administrator_stays(run: Run, only_admin: UserRef) -> None:
    assert_refused(run("deactivate", "root"), LAST_ADMIN)
    assert_refused(run("revoke", "root", "admin"), LAST_ADMIN)
    document = shown(run("show", "root"))
    assert (document["is_active"], document["roles"]) == (True, ["admin", "user"])


# Several accounts


def test_several_accounts_are_named_or_read_from_standard_input(run: Run, alice: UserRef) -> None:
    make_user("bob")
    shown_one = run("show", "alice", "alice@example.com")
    assert shown(shown_one)["username"] == "alice"
    both = run("show", "-", stdin="\ufeffalice\r\nbob\r\n")
    assert [json.loads(line)["username"] for line in both.stdout.splitlines()] == ["alice", "bob"]
    assert run("grant", "alice", "bob", "admin").stdout == (
        "alice@example.com holds: admin, user.\nbob@example.com holds: admin, user.\n"
    )


def test_access_of_several_ends_after_a_confirmation(run: Run, alice: UserRef) -> None:
    make_user("bob")
    for args in (("deactivate",), ("revoke",)):
        role = ["user"] if args == ("revoke",) else []
        result = run(*args, "alice", "bob", *role)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.endswith("Error: Nothing was changed. Confirm with --yes.\n")
    assert shown(run("show", "alice"))["is_active"]
    result = run("deactivate", "--yes", "--json", "-", stdin="alice\nbob\n")
    assert result.exit_code == 0
    assert not shown(run("show", "alice"))["is_active"]


def test_nothing_is_done_where_one_of_several_is_unknown(run: Run, alice: UserRef) -> None:
    assert_refused(run("deactivate", "alice", "eve", "--yes"), "There is no such user: 'eve'.")
    assert shown(run("show", "alice"))["is_active"]


def test_one_that_stays_does_not_keep_the_others_back(
    run: Run, alice: UserRef, only_admin: UserRef
) -> None:
    result = run("deactivate", "--yes", "root", "alice")
    assert result.exit_code == 1
    assert result.stderr == f"Error: root@example.com: {LAST_ADMIN}\n"
    assert not shown(run("show", "alice"))["is_active"]


def test_changes_are_printed_as_json(run: Run, alice: UserRef) -> None:
    result = shown(run("deactivate", "alice", "--json"))
    assert result == {"id": str(alice.id), "email": "alice@example.com", "is_active": False}


# invite, delete


def test_invite_mails_a_link_and_invites_again(run: Run, app: Flask, context: None) -> None:
    mailbox = open_mailbox(app)
    result = run("invite", "Bob@example.com", "--role", "admin", "--username", "bob")
    assert (result.exit_code, result.stdout) == (0, "bob@example.com is invited.\n")
    assert result.stderr == "`flask worker` sends the mail.\n"
    assert shown(run("show", "bob"))["roles"] == ["admin", "user"]
    again = shown(run("invite", "bob@example.com", "--json"))
    assert (again["email"], again["is_new"]) == ("bob@example.com", False)
    work(app)
    (letter,) = mailbox.letters
    assert letter.to == "bob@example.com"
    assert [event.user_agent for event in all_events()] == ["flask users invite"] * 2


def test_invite_refuses_what_the_api_refuses(run: Run, alice: UserRef) -> None:
    assert_refused(run("invite", "alice"), "email: Not a valid email address.")
    assert_refused(
        run("invite", "b@example.com", "--role", "king"), "There is no role named 'king'."
    )
    result = run("invite", "alice@example.com")
    assert (result.exit_code, result.stderr) == (
        1,
        "Error: This account has been activated already.\n",
    )
    assert_refused(
        run("invite", "alice@example.com", "--role", "admin"),
        "Another account uses this email address.",
    )


def test_invite_takes_addresses_from_standard_input(run: Run, context: None) -> None:
    result = run("invite", "-", stdin="b@example.com\nc@example.com\n")
    assert result.stdout == "b@example.com is invited.\nc@example.com is invited.\n"
    assert run("invite", "d@example.com", "e@example.com", "--username", "d").exit_code == 2


def test_delete_asks_first(run: Run, alice: UserRef, only_admin: UserRef) -> None:
    assert run("delete", "alice").exit_code == 1
    assert shown(run("show", "alice"))["is_active"]
    result = run("delete", "alice", "--yes")
    assert (result.exit_code, result.stdout) == (0, "alice@example.com is deleted.\n")
    assert_refused(run("show", "alice"), "There is no such user.")
    assert_refused(run("delete", "root", "--yes"), LAST_ADMIN)


# unlock, why, reset-link


@both_databases
def test_unlock_ends_the_throttles_blocks(run: Run, app: Flask, alice: UserRef) -> None:
    client = app.test_client()
    for identifier in ("alice", "alice@example.com"):
        for _ in range(5):
            login(client, identifier, "Wrong password 1")
        assert login(client, identifier).status_code == 429
    assert not json.loads(run("why", "alice", "--json").stdout)["can_sign_in"]
    result = run("unlock", "alice")
    assert (result.exit_code, result.stdout, result.stderr) == (
        0,
        "The blocks on alice@example.com are ended.\n",
        "",
    )
    (event,) = events_of(alice, "user.unlocked")
    assert (event.actor, event.user_agent) == (None, "flask users unlock")
    # The address of the client has its own counter.
    elsewhere = {"REMOTE_ADDR": "192.0.2.77"}
    for identifier in ("alice", "alice@example.com"):
        response = client.post(
            "/api/v1/auth/login",
            json={"identifier": identifier, "password": PASSWORD},
            environ_overrides=elsewhere,
        )
        assert response.status_code == 200


def test_unlock_ends_the_blocks_of_signed_in_callers(run: Run, app: Flask, alice: UserRef) -> None:
    key = account_key(alice.id)
    with app.app_context():
        for _ in range(key.rule.limit):
            count_attempt(key)
        assert find_block_end([key]) is not None
    assert run("unlock", "alice").exit_code == 0
    with app.app_context():
        assert find_block_end([key]) is None


@pytest.mark.usefixtures("clock")
def test_unlock_ends_the_blocks_of_second_factors(run: Run, app: Flask, bob: Caller) -> None:
    client, secret = app.test_client(), give_totp(app, bob.id)
    device_token = after_second_step(app, bob.tokens["device_token"])
    reauthenticate = "/api/v1/auth/reauthenticate"

    def prove(code: str) -> list[int]:
        """Give a code on an unknown device, on a known one, and in a session."""
        tokens = [first_step(client, "bob", device_token=known) for known in (None, device_token)]
        answers = [second_step(client, token, totp_code=code) for token in tokens]
        body = {"password": PASSWORD, "totp_code": code}
        return [each.status_code for each in (*answers, bob.post(reauthenticate, json=body))]

    for _ in range(5):
        assert prove(wrong_code(secret)) == [401, 401, 403]
    assert prove(code_at(secret, now())) == [429, 429, 429]
    assert run("unlock", "bob").exit_code == 0
    assert prove(wrong_code(secret)) == [401, 401, 403]


def test_unlock_leaves_a_password_off_and_reports_it(run: Run, alice: UserRef) -> None:
    with transaction() as session:
        session.execute(update(User).values(failed_sign_ins=100))
    result = run("unlock", "alice")
    assert result.exit_code == 0
    assert "flask users why alice@example.com" in result.stderr
    assert "- A hundred wrong passwords in a row" in run("why", "alice").stdout


def test_why_explains_in_words_and_as_json(run: Run, app: Flask, alice: UserRef) -> None:
    assert run("why", "alice").stdout.startswith(
        "alice@example.com can sign in.\nThe address is not verified. The last sign-in was: never."
    )
    login(app.test_client(), "alice", "Wrong password 1")
    run("deactivate", "alice")
    lines = run("why", "alice").stdout.splitlines()
    assert lines[:2] == [
        "alice@example.com cannot sign in:",
        "- The account is deactivated. To activate it: flask users activate alice@example.com",
    ]
    assert any("wrong password, from 127.0.0.1, request " in line for line in lines)
    document = json.loads(run("why", "alice", "--json").stdout)
    assert (document["id"], document["reasons"]) == (str(alice.id), ["account_disabled"])
    assert document["last_failures"][0]["reason"] == "wrong_password"


def test_every_reason_has_a_sentence() -> None:
    assert set(OBSTACLES) == set(SignInObstacle)
    assert {*FAILURES} == {*SignInFailure, *ProofFailure}


def test_reset_link_lets_the_owner_choose_a_password(run: Run, app: Flask, alice: UserRef) -> None:
    client = app.test_client()
    first = json.loads(run("reset-link", "alice", "--json").stdout)
    assert (first["email"], first["lifetime_minutes"]) == ("alice@example.com", 30)
    result = run("reset-link", "alice")
    assert result.stderr == "Each link works once, within 30 minutes.\n"
    new = "another horse battery staple"
    for link, status in ((first["link"], 400), (result.stdout.split()[-1], 200)):
        body = {"token": link.partition("#")[2], "new_password": new}
        assert client.post("/api/v1/auth/password/reset", json=body).status_code == status
    assert login(client, "alice", new).status_code == 200
    assert len(events_of(alice, "user.reset_link_made")) == 2


def test_reset_link_of_a_deactivated_account_is_refused(run: Run, alice: UserRef) -> None:
    run("deactivate", "alice")
    assert_refused(run("reset-link", "alice"), "This account is deactivated.")


# grant and revoke


def test_grant_and_revoke_print_the_roles_held_now(run: Run, alice: UserRef) -> None:
    make_user("root", roles=["admin"])
    assert run("grant", "alice", "admin").stdout == "alice@example.com holds: admin, user.\n"
    assert run("revoke", "alice", "admin").stdout == "alice@example.com holds: user.\n"
    assert run("revoke", "alice", "user").stdout == "alice@example.com holds: no role.\n"
    agents = [event.user_agent for event in events_of(alice, "user.roles_changed")]
    assert agents == ["flask users grant", "flask users revoke", "flask users revoke"]


def test_an_unknown_role_is_refused(run: Run, alice: UserRef) -> None:
    for command in ("grant", "revoke"):
        assert_refused(run(command, "alice", "king"), "There is no role named 'king'.")


def test_a_missing_argument_is_reported_with_the_usage(run: Run) -> None:
    result = run("grant", "alice")
    assert result.exit_code == 2
    assert "Missing argument 'USER...'" in result.stderr
