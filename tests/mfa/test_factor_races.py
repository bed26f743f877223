"""Twenty callers change the factors of one account at once."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import func, select

from authserve.core.clock import now
from authserve.database.statements import Base
from authserve.database.transactions import read_all
from authserve.mfa.models import Passkey, RecoveryCode, TotpFactor
from authserve.sessions.models import Session
from authserve.settings.model import SETTINGS, EmailVerification, Mfa
from tests.support.clients import Caller, login
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.passkeys import give_passkey, passkey_login, passkey_row
from tests.support.second_steps import first_step, second_step
from tests.support.totp import PATH as TOTP
from tests.support.totp import add_app, code_at

CROWD = 20
ME = "/api/v1/users/me"
CONFIRM = f"{TOTP}/confirm"

pytestmark = both_databases


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application whose first factors need no mailed code, of which five are compared."""
    return make_app(email_verification=EmailVerification.OFF)


def send(caller: Caller, method: str, path: str, **body: object) -> tuple[int, str]:
    """Send a request over a connection of its own; returns status and code."""
    own = Caller(caller.client.application.test_client(), caller.user, caller.tokens)
    answer = persistently(lambda: own.call(method, path, json=body or None))
    return answer.status_code, (answer.get_json(silent=True) or {}).get("code", "")


def count(app: Flask, model: type[Base]) -> int:
    """Return the number of rows."""
    with app.app_context():
        found: int = read_all(select(func.count()).select_from(model))[0][0]
    return found


def test_one_set_up_is_confirmed_once(app: Flask, alice: Caller) -> None:
    code = code_at(alice.post(TOTP).get_json()["secret"], now())
    answers = all_at_once([partial(send, alice, "POST", CONFIRM, code=code)] * CROWD)
    assert Counter(answers) == {(200, ""): 1, (409, "no_set_up"): CROWD - 1}
    assert count(app, TotpFactor) == 1
    assert count(app, RecoveryCode) == 10, "one set"


def test_of_set_ups_at_once_the_newest_one_counts(app: Flask, alice: Caller) -> None:
    def set_up() -> str:
        client = app.test_client()
        caller = Caller(client, alice.user, alice.tokens)
        secret: str = persistently(lambda: caller.post(TOTP)).get_json()["secret"]
        return secret

    secrets = all_at_once([set_up] * CROWD)
    assert count(app, TotpFactor) == 1
    answers = [send(alice, "POST", CONFIRM, code=code_at(each, now())) for each in secrets]
    # The code of another secret may be the same by chance.
    assert answers.count((200, "")) == 1
    assert {*answers} <= {(200, ""), (403, "invalid_code"), (409, "no_set_up")}


def test_while_mfa_goes_on_no_sign_in_slips_through(app: Flask, alice: Caller) -> None:
    code = code_at(alice.post(TOTP).get_json()["secret"], now())

    def sign_in() -> tuple[int, str]:
        answer = persistently(lambda: login(app.test_client(), "alice"))
        return answer.status_code, answer.get_json().get("code", "")

    confirm = partial(send, alice, "POST", CONFIRM, code=code)
    confirmed, *answers = all_at_once([confirm, *[sign_in] * (CROWD - 1)])
    assert confirmed == (200, "")
    assert {*answers} <= {(200, ""), (403, "mfa_required")}
    with app.app_context():
        live = read_all(select(Session.aal).where(Session.revoked_at.is_(None)))
    assert [row.aal for row in live] == [2]


def test_beside_its_removal_a_factor_is_not_switched_on(app: Flask, alice: Caller) -> None:
    add_app(app, alice)
    calls = [
        partial(send, alice, "DELETE", TOTP),
        partial(send, alice, "PUT", f"{ME}/mfa", enabled=True),
        partial(send, alice, "POST", f"{ME}/recovery-codes"),
    ]
    answers = all_at_once((calls * CROWD)[:CROWD])
    assert answers.count((204, "")) == 1
    assert {code for _, code in answers} <= {"", "no_factor", "factor_not_found"}
    assert count(app, TotpFactor) == count(app, RecoveryCode) == 0
    assert alice.get(f"{ME}/mfa").get_json()["enabled"] is False


def test_new_codes_at_once_are_one_set(app: Flask, alice: Caller) -> None:
    add_app(app, alice)
    seen = alice.get(f"{ME}/recovery-codes").get_json()["created_at"]
    renew = partial(send, alice, "POST", f"{ME}/recovery-codes", replaces=seen)
    answers = all_at_once([renew] * CROWD)
    assert Counter(answers) == {(201, ""): 1, (409, "changed_meanwhile"): CROWD - 1}
    assert count(app, RecoveryCode) == 10


@pytest.mark.parametrize("mfa", [Mfa.OPTIONAL, Mfa.REQUIRED])
def test_of_the_two_last_factors_one_stays_where_one_is_required(
    app: Flask, alice: Caller, mfa: Mfa
) -> None:
    add_app(app, alice)
    give_passkey(app, alice.id)
    (passkey,) = alice.get(f"{ME}/passkeys").get_json()["items"]
    SETTINGS.fill(app, replace(SETTINGS.of(app), mfa=mfa))
    paths = [TOTP, f"{ME}/passkeys/{passkey['id']}"]
    answers = all_at_once([partial(send, alice, "DELETE", path) for path in paths * (CROWD // 2)])
    left = count(app, TotpFactor) + count(app, Passkey)
    state = alice.get(f"{ME}/mfa").get_json()
    if mfa is Mfa.REQUIRED:
        assert (left, state["enabled"], state["recovery_codes_left"]) == (1, True, 10)
        assert answers.count((204, "")) == 1
    else:
        assert (left, state["enabled"], state["recovery_codes_left"]) == (0, False, 0)
        assert answers.count((204, "")) == 2
    assert {code for _, code in answers} <= {"", "factor_not_found", "mfa_required_by_policy"}


def test_a_session_that_another_one_has_ended_removes_nothing(app: Flask, alice: Caller) -> None:
    """Each of two sessions removes a factor; the first of them ends the other."""
    add_app(app, alice)
    key = give_passkey(app, alice.id)
    tokens = passkey_login(app.test_client(), key).get_json()
    other = Caller(app.test_client(), alice.user, tokens)
    passkey = passkey_row(app, key)["id"]
    removals = [
        partial(send, alice, "DELETE", TOTP),
        partial(send, other, "DELETE", f"{ME}/passkeys/{passkey}"),
    ]
    answers = all_at_once((removals * CROWD)[:CROWD])
    assert answers.count((204, "")) == 1
    assert {code for _, code in answers} <= {"", "session_revoked", "factor_not_found"}
    assert count(app, TotpFactor) + count(app, Passkey) == 1


def test_beside_its_removal_no_factor_completes_a_sign_in(app: Flask, alice: Caller) -> None:
    """A sign-in that was faster has a session, which the removal ends."""
    phone = add_app(app, alice)
    tokens = [first_step(app.test_client(), "alice") for _ in range(CROWD - 1)]
    proofs = [{"recovery_code": code} for code in phone.recovery_codes]
    proofs += [{"totp_code": phone.code(steps=1)}] * (CROWD - 1 - len(proofs))

    def verify(mfa_token: str, proof: dict[str, str]) -> tuple[int, str]:
        answer = persistently(lambda: second_step(app.test_client(), mfa_token, **proof))
        return answer.status_code, answer.get_json().get("code", "")

    pairs = zip(tokens, proofs, strict=True)
    verifications = [partial(verify, *pair) for pair in pairs]
    removed, *answers = all_at_once([partial(send, alice, "DELETE", TOTP), *verifications])
    assert removed == (204, "")
    refusals = {"", "invalid_code", "code_reused", "mfa_token_invalid", "too_many_attempts"}
    assert {code for _, code in answers} <= refusals
    with app.app_context():
        live = read_all(select(Session.id).where(Session.revoked_at.is_(None)))
    assert [row.id for row in live] == [alice.session_id]
