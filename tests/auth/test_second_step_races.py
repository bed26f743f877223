"""Second steps at once, beside changes of the account, and interrupted between statements."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
from flask import Flask
from sqlalchemy import delete, event, func, select
from werkzeug.test import TestResponse

from authserve.core.actor import OPERATOR, VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.database.statements import PreparedStatement
from authserve.database.transactions import db, read_all, transaction
from authserve.mfa.models import PendingSignIn, RecoveryCode
from authserve.mfa.reset import request_reset
from authserve.ratelimit.models import RateCounter
from authserve.users.accounts import deactivate
from tests.support.clients import PASSWORD, Caller
from tests.support.crowd import all_at_once, persistently
from tests.support.factors import give_recovery_codes, give_totp, raise_caller
from tests.support.marks import both_databases
from tests.support.rows import count_sessions
from tests.support.second_steps import first_step, second_step
from tests.support.totp import code_at

pytestmark = both_databases

CALLERS = 20
NEW_PASSWORD = "another horse, another staple"


def verifying(app: Flask, token: str, **proof: Any) -> Callable[[], TestResponse]:
    return lambda: persistently(lambda: second_step(app.test_client(), token, **proof))


def tokens(app: Flask, count: int) -> list[str]:
    return [first_step(app.test_client(), "alice") for _ in range(count)]


def statuses(answers: list[TestResponse]) -> list[int]:
    return sorted(answer.status_code for answer in answers)


def unused_codes(app: Flask) -> int:
    with app.app_context():
        unused = select(func.count()).where(RecoveryCode.used_at.is_(None))
        return int(read_all(unused)[0][0])


def test_one_code_and_one_token_start_one_session(app: Flask, alice: Caller) -> None:
    code = code_at(give_totp(app, alice.id), now())
    (token,) = tokens(app, 1)
    answers = all_at_once([verifying(app, token, totp_code=code)] * CALLERS)
    found = statuses(answers)
    assert found.count(200) == 1
    # Attempts are counted before they are compared, so the crowd begins a block.
    assert set(found) <= {200, 401, 429}
    assert count_sessions(app) == 2


def test_one_code_and_twenty_tokens_start_one_session(app: Flask, alice: Caller) -> None:
    code = code_at(give_totp(app, alice.id), now())
    calls = [verifying(app, token, totp_code=code) for token in tokens(app, CALLERS)]
    found = statuses(all_at_once(calls))
    assert found.count(200) == 1
    assert set(found) <= {200, 401, 429}
    assert count_sessions(app) == 2
    with app.app_context():
        spent = select(func.count()).where(PendingSignIn.used_at.is_not(None))
        assert read_all(spent)[0][0] == 1


def test_one_code_completes_a_sign_in_or_a_step_up(app: Flask, alice: Caller) -> None:
    code = code_at(give_totp(app, alice.id), now())
    body = {"password": PASSWORD, "totp_code": code}

    def step_up() -> TestResponse:
        return persistently(lambda: alice.post("/api/v1/auth/reauthenticate", json=body))

    (token,) = tokens(app, 1)
    found = statuses(all_at_once([verifying(app, token, totp_code=code), step_up]))
    assert found in ([200, 401], [200, 403])


def test_one_recovery_code_and_twenty_tokens_start_one_session(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    codes = give_recovery_codes(app, alice.id, count=2)
    calls = [verifying(app, token, recovery_code=codes[0]) for token in tokens(app, CALLERS)]
    found = statuses(all_at_once(calls))
    assert found.count(200) == 1
    assert set(found) <= {200, 401, 429}
    assert (count_sessions(app), unused_codes(app)) == (2, 1)


def test_of_two_recovery_codes_for_one_token_one_is_left(app: Flask, alice: Caller) -> None:
    give_totp(app, alice.id)
    for _ in range(5):
        (token,) = tokens(app, 1)
        fresh = give_recovery_codes(app, alice.id, count=2)
        before, sessions = unused_codes(app), count_sessions(app)
        calls = [verifying(app, token, recovery_code=code) for code in fresh]
        assert statuses(all_at_once(calls)) == [200, 401]
        assert (unused_codes(app), count_sessions(app)) == (before - 1, sessions + 1)


def deactivating(app: Flask, alice: Caller) -> None:
    with app.app_context():
        persistently(lambda: deactivate(alice.id, actor=VISITOR, request=RequestInfo()))


def changing_password(app: Flask, alice: Caller) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    answer = persistently(lambda: alice.put("/api/v1/users/me/password", json=body))
    assert answer.status_code == 204


def removing_factor(app: Flask, alice: Caller) -> None:
    answer = persistently(lambda: alice.delete("/api/v1/users/me/mfa/totp"))
    assert answer.status_code == 204


def resetting_factors(app: Flask, alice: Caller) -> None:
    with app.app_context():
        persistently(lambda: request_reset(alice.id, actor=OPERATOR, request=RequestInfo()))


@pytest.mark.parametrize(
    ("change", "survivors"),
    [
        (deactivating, 0),
        (changing_password, 1),
        (removing_factor, 1),
        (resetting_factors, 0),
    ],
)
def test_a_change_of_the_account_leaves_no_session_beside_it(
    app: Flask, alice: Caller, change: Callable[[Flask, Caller], None], survivors: int
) -> None:
    """A sign-in that wins is ended by the change; one that loses starts no session."""
    code = code_at(give_totp(app, alice.id), now())
    raise_caller(app, alice)
    (token,) = tokens(app, 1)
    verify = verifying(app, token, totp_code=code)
    answer, _ = all_at_once([verify, lambda: change(app, alice)])
    assert answer is not None
    assert answer.status_code in (200, 401, 403)
    assert count_sessions(app, revoked_at=None) == survivors


class InterruptionError(Exception):
    """An exception in place of the end of the process."""


@contextmanager
def interrupted_at(app: Flask, number: int) -> Iterator[list[str]]:
    """Interrupt the statement of this number that follows; yields those that ran before."""
    sent: list[str] = []

    def count(_connection: Any, _cursor: Any, statement: str, *_args: Any) -> None:
        sent.append(statement)
        if len(sent) == number:
            raise InterruptionError

    def run(statement: PreparedStatement, *arguments: Any) -> list[Any]:
        count(None, None, statement.name)
        return uncounted(statement, *arguments)

    uncounted = PreparedStatement.run_in_transaction
    with app.app_context(), patch.object(PreparedStatement, "run_in_transaction", run):
        event.listen(db.engine, "before_cursor_execute", count)
        try:
            yield sent
        finally:
            event.remove(db.engine, "before_cursor_execute", count)


def test_an_interruption_between_any_two_statements_spends_no_code(
    app: Flask, alice: Caller
) -> None:
    give_totp(app, alice.id)
    (code,) = give_recovery_codes(app, alice.id)
    interrupted = 0
    for number in range(1, 60):
        (token,) = tokens(app, 1)
        with interrupted_at(app, number) as sent:
            answer = second_step(app.test_client(), token, recovery_code=code)
        if answer.status_code == 200:
            break
        assert answer.status_code in (500, 503)
        assert (count_sessions(app), unused_codes(app)) == (1, 1)
        interrupted += 1
        with app.app_context(), transaction() as session:
            session.execute(delete(RateCounter))
    assert len(sent) < number
    assert interrupted > 8
    assert (count_sessions(app), unused_codes(app)) == (2, 0)


def test_a_lost_answer_is_explained_at_the_retry(app: Flask, alice: Caller) -> None:
    code = code_at(give_totp(app, alice.id), now())
    (token,) = tokens(app, 1)
    assert second_step(app.test_client(), token, totp_code=code).status_code == 200
    retry = second_step(app.test_client(), token, totp_code=code)
    assert (retry.status_code, retry.get_json()["code"]) == (401, "mfa_token_invalid")


def test_guesses_from_many_addresses_and_after_a_restart_are_counted_together(
    make_app: Callable[..., Flask], app: Flask, alice: Caller
) -> None:
    give_totp(app, alice.id)
    found = []
    for number in range(30):
        # An application of its own has no memory of the one before.
        client = (app if number < 15 else make_app()).test_client()
        token = first_step(client, "alice", ip=f"192.0.2.{number}")
        found.append(second_step(client, token, recovery_code="x").status_code)
    assert found == [401] * 5 + [429] * 25
