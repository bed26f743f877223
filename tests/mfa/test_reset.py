"""The reset of second factors by an administrator, and what cancels it."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import delete, func, insert, select

from authserve.core.clock import now, to_rfc3339
from authserve.database.transactions import read_all, transaction
from authserve.mfa.models import EmailCode, Passkey, PendingSignIn, RecoveryCode, TotpFactor
from authserve.mfa.reset import perform_due_resets
from authserve.sessions.models import Session
from authserve.users.models import User
from tests.support.clients import Caller, login, register_caller
from tests.support.crowd import all_at_once, persistently
from tests.support.factors import give_recovery_codes, give_totp, raise_caller
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.passkeys import give_passkey, passkey_login
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, change_user
from tests.support.second_steps import first_step, second_step, wrong_code
from tests.support.totp import code_at

Clock = time_machine.Traveller

DELAY = timedelta(days=3)

FACTOR_TABLES = (TotpFactor, Passkey, RecoveryCode, PendingSignIn, EmailCode)


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    """The mail of everyone."""
    return open_mailbox(app)


@pytest.fixture
def delayed(make_app: Callable[..., Flask]) -> Flask:
    """An application in which resets take effect after `DELAY`."""
    return make_app(mfa_reset_delay=DELAY)


def reset(admin: Caller, user: Caller) -> Any:
    return admin.post(f"/api/v1/users/{user.id}/mfa-reset")


def give_everything(app: Flask, user: Caller) -> None:
    """Give an account one row of each kind that a reset deletes."""
    give_totp(app, user.id)
    give_passkey(app, user.id)
    give_recovery_codes(app, user.id)
    assert_problem_code(login(user.client, user.user["username"]), "mfa_required")
    row = {
        "handle_digest": user.id.bytes * 2,
        "user_id": user.id,
        "purpose": "enroll",
        "email": user.user["email"],
        "requested_at": now(),
        "expires_at": now(),
    }
    with app.app_context(), transaction() as session:
        session.execute(insert(EmailCode).values(id=user.id, **row))


def assert_problem_code(response: Any, code: str) -> None:
    assert response.get_json()["code"] == code, response.get_json()


def held(app: Flask, user: Caller) -> dict[str, int]:
    """Return the number of an account's rows in each table of factors."""
    with app.app_context():
        return {
            model.__tablename__: read_all(
                select(func.count()).select_from(model).where(model.user_id == user.id)
            )[0][0]
            for model in FACTOR_TABLES
        }


def live_sessions(app: Flask, user: Caller) -> list[str | None]:
    """The reasons of an account's sessions; None for a live one."""
    statement = select(Session.revoke_reason).where(Session.user_id == user.id)
    with app.app_context():
        return [row.revoke_reason for row in read_all(statement)]


def row_of(app: Flask, user: Caller) -> Any:
    with app.app_context():
        return read_all(select(User.mfa_enabled, User.mfa_reset_at).where(User.id == user.id))[0]


def subjects(app: Flask, mailbox: Mailbox, user: Caller) -> list[str]:
    """The subjects of the mails about resets that have arrived."""
    work(app)
    letters = mailbox.to(user.user["email"])
    return [letter.subject for letter in letters if "second factors" in letter.subject]


REQUESTED = "A reset of your second factors was requested"
DONE = "Your second factors were removed"
CANCELLED = "The reset of your second factors was cancelled"


# At once


@both_databases
def test_it_deletes_all_that_proves_a_second_factor_and_nothing_of_others(
    clock: Clock, app: Flask, mailbox: Mailbox, admin: Caller, alice: Caller, bob: Caller
) -> None:
    for user in (alice, bob):
        give_everything(app, user)
    before = held(app, bob)
    assert set(before.values()) == {1}
    response = reset(admin, alice)
    assert (response.status_code, response.get_json()) == (
        202,
        {"effective_at": to_rfc3339(now())},
    )
    assert set(held(app, alice).values()) == {0}
    assert live_sessions(app, alice) == ["mfa_reset"]
    assert (held(app, bob), live_sessions(app, bob)) == (before, [None])
    assert subjects(app, mailbox, alice) == [DONE]
    assert subjects(app, mailbox, bob) == []
    events = audit_trail(app, "mfa.reset_requested", "mfa.reset")
    assert [event["action"] for event in events] == ["mfa.reset_requested", "mfa.reset"]
    for event in events:
        assert (event["actor_audit_id"], event["subject_audit_id"]) == (admin.id, alice.id)
    assert events[0]["details"] == {"effective_at": to_rfc3339(now())}


def test_the_account_needs_a_second_factor_as_before(
    app: Flask, admin: Caller, alice: Caller
) -> None:
    """Else an administrator would turn two factors into a password."""
    give_totp(app, alice.id)
    reset(admin, alice)
    assert row_of(app, alice).mfa_enabled is True
    refused = login(app.test_client(), "alice")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "mfa_enrollment_required")


def test_no_administrator_resets_the_own_factors(app: Flask, admin: Caller) -> None:
    give_totp(app, admin.id)
    raise_caller(app, admin)
    assert_problem(reset(admin, admin), 409, "own_account")
    assert held(app, admin)["totp_factors"] == 1


def test_no_caller_resets_a_user_who_may_do_more(
    app: Flask, admin: Caller, alice: Caller, charlie: Caller
) -> None:
    body = {"name": "support", "permissions": ["users:write"]}
    assert admin.post("/api/v1/roles", json=body).status_code == 201
    support = register_caller(app, "support", roles=("support",))
    assert_problem(reset(charlie, alice), 403, "insufficient_permissions")
    assert_problem(reset(support, admin), 403, "insufficient_permissions")
    assert reset(support, alice).status_code == 202


def test_an_account_without_factors_is_reset_too(app: Flask, admin: Caller, alice: Caller) -> None:
    """Support need not look first; sessions end, since the owner may have lost a device."""
    assert reset(admin, alice).status_code == 202
    assert live_sessions(app, alice) == ["mfa_reset"]


# Later


def perform(app: Flask) -> list[int]:
    """Run the worker's job once."""
    with app.app_context():
        return list(perform_due_resets())


@pytest.fixture
def pending(delayed: Flask, clock: Clock) -> tuple[Flask, Caller, Caller, Mailbox]:
    """A reset of Alice's factors that takes effect after `DELAY`."""
    mailbox = open_mailbox(delayed)
    admin = register_caller(delayed, "admin", roles=("admin",))
    alice = register_caller(delayed, "alice")
    give_totp(delayed, alice.id)
    response = reset(admin, alice)
    assert response.get_json() == {"effective_at": to_rfc3339(now() + DELAY)}
    return delayed, admin, alice, mailbox


Pending = tuple[Flask, Caller, Caller, Mailbox]


@both_databases
def test_nothing_is_deleted_before_it_is_due(clock: Clock, pending: Pending) -> None:
    app, _, alice, mailbox = pending
    assert subjects(app, mailbox, alice) == [REQUESTED]
    clock.shift(DELAY - timedelta(seconds=1))
    assert perform(app) == []
    assert held(app, alice)["totp_factors"] == 1
    assert live_sessions(app, alice) == [None]
    clock.shift(1)
    assert perform(app) == [1]
    assert perform(app) == []
    assert set(held(app, alice).values()) == {0}
    assert live_sessions(app, alice) == ["mfa_reset"]
    assert row_of(app, alice).mfa_reset_at is None
    assert subjects(app, mailbox, alice) == [REQUESTED, DONE]
    requested, done = audit_trail(app, "mfa.reset_requested", "mfa.reset")
    assert (done["action"], done["actor_audit_id"]) == ("mfa.reset", None)
    assert done["subject_audit_id"] == requested["subject_audit_id"] == alice.id


def test_a_second_request_does_not_postpone_it(clock: Clock, pending: Pending) -> None:
    """Nor is the owner mailed again."""
    app, admin, alice, mailbox = pending
    due = row_of(app, alice).mfa_reset_at
    clock.shift(60)
    assert reset(admin, alice).get_json() == {"effective_at": to_rfc3339(due)}
    assert len(audit_trail(app, "mfa.reset_requested")) == 1
    assert subjects(app, mailbox, alice) == [REQUESTED]


def test_a_shorter_delay_brings_it_forward(
    clock: Clock, make_app: Callable[..., Flask], pending: Pending
) -> None:
    app, admin, alice, _ = pending
    sooner = make_app(mfa_reset_delay=DELAY / 2)
    again = Caller(sooner.test_client(), admin.user, admin.tokens)
    assert reset(again, alice).get_json() == {"effective_at": to_rfc3339(now() + DELAY / 2)}
    at_once = make_app()
    again = Caller(at_once.test_client(), admin.user, admin.tokens)
    assert reset(again, alice).get_json() == {"effective_at": to_rfc3339(now())}
    assert set(held(app, alice).values()) == {0}
    assert row_of(app, alice).mfa_reset_at is None
    clock.shift(DELAY)
    assert perform(app) == []


def test_a_passkey_cancels_it(clock: Clock, pending: Pending) -> None:
    app, _, alice, mailbox = pending
    key = give_passkey(app, alice.id)
    assert passkey_login(app.test_client(), key).status_code == 200
    assert row_of(app, alice).mfa_reset_at is None
    clock.shift(DELAY)
    assert perform(app) == []
    assert held(app, alice)["totp_factors"] == 1
    assert subjects(app, mailbox, alice) == [REQUESTED, CANCELLED]
    (event,) = audit_trail(app, "mfa.reset_cancelled")
    assert event["subject_audit_id"] == alice.id
    # The next sign-in cancels nothing.
    assert passkey_login(app.test_client(), key).status_code == 200
    assert len(audit_trail(app, "mfa.reset_cancelled")) == 1


@pytest.mark.parametrize("kind", ["totp_code", "recovery_code"])
def test_a_second_step_cancels_it(clock: Clock, pending: Pending, kind: str) -> None:
    app, _, alice, mailbox = pending
    client = app.test_client()
    reset_secret(app, alice)
    secret, codes = give_totp(app, alice.id), give_recovery_codes(app, alice.id)
    token = first_step(client, "alice")
    assert second_step(client, token, totp_code=wrong_code(secret)).status_code == 401
    assert row_of(app, alice).mfa_reset_at is not None
    proof = code_at(secret, now()) if kind == "totp_code" else codes[0]
    assert second_step(client, token, **{kind: proof}).status_code == 200
    assert row_of(app, alice).mfa_reset_at is None
    assert subjects(app, mailbox, alice) == [REQUESTED, CANCELLED]
    clock.shift(DELAY)
    assert perform(app) == []


def reset_secret(app: Flask, user: Caller) -> None:
    """Delete the account's secret, which the test does not know."""
    with app.app_context(), transaction() as session:
        session.execute(delete(TotpFactor).where(TotpFactor.user_id == user.id))


def test_the_password_alone_cancels_nothing(clock: Clock, pending: Pending) -> None:
    app, _, alice, _ = pending
    assert_problem_code(login(app.test_client(), "alice"), "mfa_required")
    change_user(app, alice.id, mfa_enabled=False)
    assert login(app.test_client(), "alice").status_code == 200
    clock.shift(DELAY)
    assert perform(app) == [1]


@pytest.mark.parametrize("due_later", [None, timedelta(days=1)])
def test_a_reset_that_ends_while_the_worker_reads_is_not_performed(
    clock: Clock, pending: Pending, due_later: timedelta | None
) -> None:
    """Cancelled by a factor, or performed by another worker and requested again."""
    app, admin, alice, _ = pending
    clock.shift(DELAY)
    change_user(app, admin.id, mfa_reset_at=now() - timedelta(days=4))
    with app.app_context():
        resets = perform_due_resets()
        assert next(resets) == 1
        change_user(app, alice.id, mfa_reset_at=None if due_later is None else now() + due_later)
        assert list(resets) == [0]
    assert held(app, alice)["totp_factors"] == 1
    assert live_sessions(app, alice) == [None]


def test_an_account_that_is_gone_is_no_trouble(clock: Clock, pending: Pending) -> None:
    app, admin, _, _ = pending
    clock.shift(DELAY)
    with app.app_context():
        resets = perform_due_resets()
        # The worker has read the accounts that are due, but not yet this one's row.
        change_user(app, admin.id, mfa_reset_at=now() - timedelta(days=4))
        assert next(resets) == 1
        runner = app.test_cli_runner(capture="fd")
        assert runner.invoke(args=["users", "delete", "alice", "--yes"]).exit_code == 0
        assert list(resets) == [0]


# Races


@both_databases
def test_no_session_outlives_a_reset_beside_its_second_step(
    clock: Clock, app: Flask, admin: Caller, alice: Caller
) -> None:
    """The second step wins and its session ends, or the factor is gone and the step is refused."""
    for _ in range(5):
        reset_secret(app, alice)
        secret, client = give_totp(app, alice.id), app.test_client()
        token = first_step(client, "alice")
        calls = (
            partial(reset, admin, alice),
            partial(second_step, client, token, totp_code=code_at(secret, now())),
        )
        done, verified = all_at_once([partial(persistently, call) for call in calls])
        assert done.status_code == 202
        assert verified.status_code in (200, 401)
        assert None not in live_sessions(app, alice)
        assert set(held(app, alice).values()) == {0}
        clock.shift(30)


# The command


def test_the_operator_resets_from_the_command_line(
    clock: Clock, app: Flask, runner: FlaskCliRunner, admin: Caller, alice: Caller
) -> None:
    """For the last administrator, too, whom no other can help."""
    for user in (admin, alice):
        give_totp(app, user.id)
    assert runner.invoke(args=["users", "mfa-reset", "admin", "alice"]).exit_code == 1
    done = runner.invoke(args=["users", "mfa-reset", "admin", "alice", "--yes"])
    assert done.stdout == "".join(
        f"The second factors of {name}@example.com are removed, and its sessions have ended.\n"
        for name in ("admin", "alice")
    )
    assert held(app, admin)["totp_factors"] == held(app, alice)["totp_factors"] == 0
    assert {event["actor_audit_id"] for event in audit_trail(app, "mfa.reset")} == {None}


def test_the_command_claims_to_remove_only_what_was_there(
    app: Flask, runner: FlaskCliRunner, alice: Caller, bob: Caller
) -> None:
    give_recovery_codes(app, bob.id)
    done = runner.invoke(args=["users", "mfa-reset", "alice", "bob", "--yes"])
    assert done.stdout == (
        "alice@example.com has no second factors. Its sessions have ended.\n"
        "The second factors of bob@example.com are removed, and its sessions have ended.\n"
    )
    assert live_sessions(app, alice) == ["mfa_reset"]


@pytest.mark.parametrize("has_factors", [True, False])
def test_the_command_tells_the_time_of_a_later_reset(
    clock: Clock, delayed: Flask, has_factors: bool
) -> None:
    alice = register_caller(delayed, "alice")
    if has_factors:
        give_totp(delayed, alice.id)
    runner = delayed.test_cli_runner(capture="fd")
    told = runner.invoke(args=["users", "mfa-reset", "alice"]).stdout
    due = to_rfc3339(now() + DELAY)
    assert told == (
        f"The second factors of alice@example.com will be removed at {due}.\n"
        if has_factors
        else f"alice@example.com has no second factors. Its sessions will end at {due}.\n"
    )
