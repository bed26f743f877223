"""Signing in with a passkey alone."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.auth import passkey_sign_in
from authserve.core.actor import VISITOR, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.database.transactions import db, transaction
from authserve.mfa.passkeys import ProvenPasskey, explain_unspent, spend_assertion
from authserve.settings.model import EmailVerification
from authserve.users.accounts import deactivate, delete_user, ref_of
from authserve.users.lookup import get_user
from authserve.users.sign_ins import record_passkey_login
from tests.conftest import Log
from tests.support.authenticator import BE, BS, UV, Faults
from tests.support.clients import Caller, login, register_caller
from tests.support.crowd import all_at_once, persistently
from tests.support.databases import executed
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.passkeys import (
    OPTIONS,
    SIGN_IN,
    change_passkey,
    give_passkey,
    passkey_answer,
    passkey_login,
    passkey_row,
    sign_in_options,
)
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, count_sessions, live_session_row
from tests.support.tokens import claims_of, encode


def failures(app: Flask) -> list[str]:
    return [event["details"]["reason"] for event in audit_trail(app, "session.sign_in_failed")]


@both_databases
def test_it_starts_a_phishing_resistant_session(app: Flask, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    client = app.test_client()
    response = passkey_login(client, key)
    assert response.status_code == 200, response.get_data(as_text=True)
    tokens = response.get_json()
    claims = claims_of(tokens["access_token"])
    assert (claims["acr"], claims["amr"]) == ("phr", ["pop", "mfa"])
    assert claims["fresh"] > claims["iat"]
    row = live_session_row(app, tokens["session_id"])
    assert (row["user_id"], row["aal"], row["amr"]) == (alice.id, 3, ["pop", "mfa"])
    started = audit_trail(app, "session.started")[-1]
    assert (started["details"]["amr"], started["details"]["acr"]) == (["pop", "mfa"], "phr")
    with app.app_context():
        assert get_user(alice.id).last_login_at == row["created_at"]
    used = passkey_row(app, key)
    assert (used["sign_count"], used["last_used_at"]) == (1, row["created_at"])


def test_options_name_no_account_and_touch_no_table(app: Flask) -> None:
    client = app.test_client()
    client.post(OPTIONS, json={})
    with app.app_context(), executed(db.engine) as sent:
        response = client.post(OPTIONS, json={})
    body = response.get_json()
    options = body["public_key"]
    assert sent == []
    assert body["expires_in"] == 300
    assert options == {
        "challenge": options["challenge"],
        "timeout": 300_000,
        "rpId": "localhost",
        "allowCredentials": [],
        "userVerification": "required",
    }
    assert sign_in_options(client)["challenge"] != options["challenge"]


def test_a_passkey_that_no_account_has_is_unknown(app: Flask, alice: Caller, log: Log) -> None:
    key = give_passkey(app, alice.id)
    key.credential_id = bytes(16)
    log()
    assert_problem(passkey_login(app.test_client(), key), 401, "unknown_passkey")
    (line,) = [line for line in log() if line["event"] == "passkey refused"]
    assert (line["level"], line["reason"]) == ("INFO", "unknown")
    assert failures(app) == ["unknown_passkey"]


@pytest.mark.parametrize(
    "faults",
    [
        Faults(client_data={"origin": "http://evil.example"}),
        Faults(flags=lambda flags: flags & ~UV),
        Faults(signature=lambda signature: signature[:-1]),
        Faults(response={"userHandle": None}),
        Faults(response={"userHandle": encode(bytes(16))}),
    ],
)
def test_an_answer_that_breaks_a_rule_is_refused_and_its_challenge_spent(
    app: Flask, alice: Caller, faults: Faults
) -> None:
    key, client = give_passkey(app, alice.id), app.test_client()
    options = sign_in_options(client)
    refused = client.post(SIGN_IN, json={"credential": key.get(options, faults)})
    problem = assert_problem(refused, 401, "invalid_passkey")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert problem["detail"] == "The passkey was not accepted."
    again = client.post(SIGN_IN, json={"credential": key.get(options)})
    assert_problem(again, 401, "invalid_passkey")
    assert failures(app) == ["passkey_refused"] * 2
    assert passkey_row(app, key)["sign_count"] == 0
    assert count_sessions(app) == 1


def test_a_challenge_lasts_five_minutes(
    app: Flask, clock: time_machine.Traveller, alice: Caller
) -> None:
    key, client = give_passkey(app, alice.id), app.test_client()
    answer = passkey_answer(client, key)
    clock.shift(timedelta(minutes=5))
    assert_problem(client.post(SIGN_IN, json={"credential": answer}), 401, "invalid_passkey")


def test_a_passkey_of_another_rp_id_opens_nothing(app: Flask, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    change_passkey(app, key, rp_id="example.org")
    assert_problem(passkey_login(app.test_client(), key), 401, "invalid_passkey")
    assert failures(app) == ["passkey_refused"]


def test_a_deactivated_account_is_told_so_only_after_the_right_passkey(
    app: Flask, alice: Caller
) -> None:
    key = give_passkey(app, alice.id)
    with app.app_context():
        deactivate(alice.id, actor=VISITOR, request=RequestInfo())
    assert_problem(passkey_login(app.test_client(), key), 403, "account_disabled")
    wrong = Faults(signature=lambda signature: signature[:-1])
    assert_problem(passkey_login(app.test_client(), key, wrong), 401, "invalid_passkey")
    assert failures(app) == ["account_disabled", "passkey_refused"]
    assert passkey_row(app, key)["last_used_at"] is None


def test_an_address_that_must_be_verified_first_is_named(
    app: Flask, alice: Caller, make_app: Callable[..., Flask]
) -> None:
    key = give_passkey(app, alice.id)
    strict = make_app(email_verification=EmailVerification.REQUIRED)
    assert_problem(passkey_login(strict.test_client(), key), 403, "email_not_verified")


BY_OPERATOR: dict[str, Any] = {"actor": VISITOR, "request": RequestInfo()}


@both_databases
@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        (lambda user: delete_user(user, **BY_OPERATOR), 401, "unknown_passkey"),
        (lambda user: deactivate(user.id, **BY_OPERATOR), 403, "account_disabled"),
    ],
    ids=["deletion", "deactivation"],
)
def test_a_change_of_the_account_meanwhile_leaves_no_session(
    app: Flask,
    alice: Caller,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[UserRef], object],
    status: int,
    code: str,
) -> None:
    key, client = give_passkey(app, alice.id), app.test_client()
    answer = passkey_answer(client, key)
    check = passkey_sign_in.check_account

    def check_then_change(*args: Any, **kwargs: Any) -> Any:
        monkeypatch.setattr(passkey_sign_in, "check_account", check)
        found = check(*args, **kwargs)
        change(ref_of(get_user(alice.id)))
        return found

    monkeypatch.setattr(passkey_sign_in, "check_account", check_then_change)
    response = client.post(SIGN_IN, json={"credential": answer})
    assert_problem(response, status, code)
    assert count_sessions(app, revoked_at=None) == 0


def test_an_address_that_is_unverified_by_now_signs_nobody_in(app: Flask, alice: Caller) -> None:
    with app.app_context(), transaction():
        assert not record_passkey_login(alice.id, needs_verified_email=True, now=now())
        assert record_passkey_login(alice.id, needs_verified_email=False, now=now())


def test_a_new_device_is_mailed(app: Flask, alice: Caller) -> None:
    mailbox = open_mailbox(app)
    key, client = give_passkey(app, alice.id), app.test_client()
    elsewhere = {"REMOTE_ADDR": "203.0.113.9"}
    answer = passkey_answer(client, key)
    client.post(SIGN_IN, json={"credential": answer}, environ_base=elsewhere)
    work(app)
    assert any("203.0.113.9" in letter.text for letter in mailbox.to("alice@example.com"))


def test_a_device_token_makes_a_device_known_and_is_handed_out_again(
    app: Flask, alice: Caller, bob: Caller
) -> None:
    key, client = give_passkey(app, alice.id), app.test_client()
    own, foreign = alice.tokens["device_token"], bob.tokens["device_token"]
    known = passkey_login(client, key, device_token=own).get_json()["device_token"]
    assert claims_of(known)["did"] == claims_of(own)["did"]
    # From now on its second factors have a counter of their own.
    assert claims_of(known)["mfa"] is True
    assert "mfa" not in claims_of(own)
    for token in (foreign, "rubbish"):
        other = passkey_login(client, key, device_token=token).get_json()["device_token"]
        assert claims_of(other)["did"] not in {claims_of(own)["did"], claims_of(foreign)["did"]}
        assert claims_of(other)["sub"] == str(alice.id)


def test_it_shares_the_limit_of_sign_ins(make_app: Callable[..., Flask]) -> None:
    app = make_app(ratelimit_enabled=True)
    client = app.test_client()
    key = give_passkey(app, register_caller(app, "alice").id)
    own = login(client, "alice").get_json()["device_token"]
    foreign = register_caller(app, "bob").tokens["device_token"]
    answers = [passkey_answer(client, key) for _ in range(4)]
    # Three have signed in before.
    for _ in range(26):
        client.post("/api/v1/auth/login", json={"identifier": "x@y.example", "password": "x"})
    assert client.post(SIGN_IN, json={"credential": answers[0]}).status_code == 200
    for token in ({}, {"device_token": foreign}):
        refused = client.post(SIGN_IN, json={"credential": answers[1], **token})
        assert_problem(refused, 429, "rate_limited")
    known = client.post(SIGN_IN, json={"credential": answers[2], "device_token": own})
    assert known.status_code == 200


def test_options_are_limited_by_address(make_app: Callable[..., Flask]) -> None:
    client = make_app(ratelimit_enabled=True).test_client()
    for _ in range(60):
        assert client.post(OPTIONS, json={}).status_code == 200
    assert_problem(client.post(OPTIONS, json={}), 429, "rate_limited")


def test_without_an_rp_id_there_are_no_calls_for_passkeys(make_app: Callable[..., Flask]) -> None:
    client = make_app(passkey_rp_id="", passkey_origins=()).test_client()
    for path in (OPTIONS, SIGN_IN):
        assert_problem(client.post(path, json={}), 404, "not_found")
    paths = client.get("/openapi.json").get_json()["paths"]
    assert [path for path in paths if "passkey" in path] == []


@both_databases
def test_one_answer_replayed_at_once_starts_one_session(app: Flask, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    answer = passkey_answer(app.test_client(), key)

    def replay() -> int:
        call = app.test_client().post
        return persistently(lambda: call(SIGN_IN, json={"credential": answer})).status_code

    assert sorted(all_at_once([replay] * 20)) == [200] + [401] * 19
    assert count_sessions(app) == 2
    assert replay() == 401


@both_databases
class TestClones:
    """A counter that falls back is the sign of a copy, but only where it means something."""

    def test_a_lower_counter_of_a_device_bound_passkey_flags_it(
        self, app: Flask, alice: Caller
    ) -> None:
        mailbox = open_mailbox(app)
        key = give_passkey(app, alice.id, name="Phone 2", sign_count=10)
        key.sign_count = 5
        client = app.test_client()
        assert_problem(passkey_login(client, key), 401, "invalid_passkey")
        row = passkey_row(app, key)
        assert (row["sign_count"], row["last_used_at"]) == (10, None)
        assert row["flagged_at"] is not None
        (event,) = audit_trail(app, "factor.flagged")
        assert event["details"] == {"factor": "passkey", "factor_id": str(row["id"])}
        assert event["subject_audit_id"] == alice.id
        work(app)
        (letter,) = [each for each in mailbox.to("alice@example.com") if "passkey" in each.text]
        assert "Phone" in letter.text
        # The original is refused too, until the owner has looked; but nothing is mailed again.
        key.sign_count = 20
        assert_problem(passkey_login(client, key), 401, "invalid_passkey")
        assert failures(app) == ["passkey_flagged"] * 2
        assert len(audit_trail(app, "factor.flagged")) == 1
        assert count_sessions(app) == 1

    @pytest.mark.parametrize("presented", [10, 0])
    def test_an_equal_counter_and_one_that_is_gone_flag_it_too(
        self, app: Flask, alice: Caller, presented: int
    ) -> None:
        key = give_passkey(app, alice.id, sign_count=10, step=0)
        key.sign_count = presented
        assert_problem(passkey_login(app.test_client(), key), 401, "invalid_passkey")
        assert passkey_row(app, key)["flagged_at"] is not None

    @pytest.mark.parametrize("flags", [BE, BE | BS])
    def test_the_counter_of_a_synced_passkey_is_stored_and_not_compared(
        self, app: Flask, alice: Caller, flags: int
    ) -> None:
        key = give_passkey(app, alice.id, sign_count=10, flags=flags)
        key.sign_count = 5
        assert passkey_login(app.test_client(), key).status_code == 200
        assert passkey_row(app, key)["sign_count"] == 6

    def test_an_authenticator_without_a_counter_is_accepted(
        self, app: Flask, alice: Caller
    ) -> None:
        key = give_passkey(app, alice.id, step=0)
        for _ in range(2):
            assert passkey_login(app.test_client(), key).status_code == 200
        assert passkey_row(app, key)["flagged_at"] is None

    def test_a_cleared_passkeys_counter_is_ignored(self, app: Flask, alice: Caller) -> None:
        key = give_passkey(app, alice.id, sign_count=10)
        change_passkey(app, key, counter_ignored=True)
        key.sign_count = 0
        assert passkey_login(app.test_client(), key).status_code == 200

    def test_a_passkey_that_is_flagged_after_its_check_is_not_spent(
        self, app: Flask, alice: Caller
    ) -> None:
        key = give_passkey(app, alice.id)
        change_passkey(app, key, flagged_at=now())
        row = passkey_row(app, key)
        proven = ProvenPasskey(id=row["id"], user_id=alice.id, sign_count=5, is_backed_up=False)
        with app.app_context():
            with transaction():
                assert not spend_assertion(proven, now=now())
            reason = explain_unspent(proven, request=RequestInfo(), now=now())
        assert reason == "passkey_refused"
        assert passkey_row(app, key) == row
        assert audit_trail(app, "factor.flagged") == []

    def test_twenty_clones_at_once_flag_it_once(self, app: Flask, alice: Caller) -> None:
        key = give_passkey(app, alice.id, sign_count=100, step=0)
        key.sign_count = 5
        answers = [passkey_answer(app.test_client(), key) for _ in range(20)]

        def clone(answer: dict[str, Any]) -> int:
            call = app.test_client().post
            return persistently(lambda: call(SIGN_IN, json={"credential": answer})).status_code

        assert all_at_once([lambda each=each: clone(each) for each in answers]) == [401] * 20
        assert len(audit_trail(app, "factor.flagged")) == 1


def test_the_state_of_syncing_is_kept_up_to_date(app: Flask, alice: Caller) -> None:
    key = give_passkey(app, alice.id, flags=BE)
    assert not passkey_row(app, key)["backed_up"]
    key.flags = BE | BS
    assert passkey_login(app.test_client(), key).status_code == 200
    assert passkey_row(app, key)["backed_up"]
