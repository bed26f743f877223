"""The own export: all of the user's data, streamed, and nothing about other users."""

import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.admin import personal_data
from authserve.admin.personal_data import export_personal_data
from authserve.core.clock import now
from authserve.database.transactions import db
from authserve.outbox.policy import SENT_RETENTION
from authserve.ratelimit import policy
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user
from authserve.verification.policy import Purpose
from tests.support.clients import Caller
from tests.support.databases import executed
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases
from tests.support.messages import change_messages, links, messages
from tests.support.passkeys import give_passkey
from tests.support.problems import assert_problem
from tests.support.rows import change_session
from tests.support.totp import add_app
from tests.support.trail import write_events

USERS = "/api/v1/users"
TAKEN, FREE = "charlie@example.com", "chester@example.com"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


def export(caller: Caller) -> dict[str, Any]:
    answer = caller.get(f"{USERS}/me/export")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    found: dict[str, Any] = answer.get_json()
    return found


def shape(caller: Caller) -> str:
    """Return a user's view of their account, without ids, times and names."""
    events = caller.get(f"{USERS}/me/events").get_json()["items"]
    text = json.dumps([export(caller), events], sort_keys=True)
    text = re.sub(r"\d{4}-\d\d-\d\dT[0-9:.]+Z", "TIME", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|[0-9a-f]{32}", "ID", text)
    return re.sub(rf"{TAKEN}|{FREE}|{caller.user['username']}", "NAME", text)


@pytest.mark.parametrize("is_withdrawn", [False, True])
@pytest.mark.parametrize("is_worked", [False, True])
def test_it_does_not_reveal_whether_another_account_has_a_new_address(
    clock: time_machine.Traveller,
    mailbox: Mailbox,
    app: Flask,
    alice: Caller,
    bob: Caller,
    charlie: Caller,
    is_worked: bool,
    is_withdrawn: bool,
) -> None:
    work(app)
    for caller, address in ((alice, TAKEN), (bob, FREE)):
        answer = caller.post(f"{USERS}/me/email", json={"new_email": address})
        assert answer.status_code == 202
    if is_worked:
        work(app)
        assert [len(mailbox.to(address)) for address in (TAKEN, FREE)] == [1, 1]
    if is_withdrawn:
        for caller in (alice, bob):
            assert caller.delete(f"{USERS}/me/email").status_code == 204
    assert shape(alice) == shape(bob)
    assert ("user.email_change_withdrawn" in shape(alice)) is is_withdrawn
    assert "change_email" in shape(alice)
    # Sent messages are deleted sooner than those given up.
    change_messages(app, created_at=now() - SENT_RETENTION + timedelta(seconds=1))
    assert "change_email" in shape(alice).replace("email_change_", "")
    change_messages(app, created_at=now() - SENT_RETENTION)
    assert "change_email" not in shape(alice).replace("email_change_", "")


def test_a_mail_requested_by_address_is_exported_for_its_recipient(
    mailbox: Mailbox, app: Flask, alice: Caller, bob: Caller
) -> None:
    client = app.test_client()
    for address in ("alice@example.com", FREE):
        assert client.post("/api/v1/auth/password/forgot", json={"email": address})
    work(app)
    shown = export(alice)["mails"]
    assert [mail["kind"] for mail in shown] == ["reset_password", "verify_email"]
    assert {mail["email"] for mail in shown} == {"alice@example.com"}
    assert shown[0].keys() == {"id", "kind", "email", "requested_at", "sent_at"}
    assert all(mail["sent_at"] for mail in shown)
    # Bob now gets an address for which there was no account.
    (ownerless,) = messages(app, user_id=None)
    assert ownerless["state"] == "dropped"
    bob.post(f"{USERS}/me/email", json={"new_email": FREE})
    work(app)
    body = {"token": mailbox.to(FREE)[0].token, "password": bob.password}
    assert client.post(f"{USERS}/me/email/confirm", json=body).status_code == 204
    assert "reset_password" not in {mail["kind"] for mail in export(bob)["mails"]}
    # He sees the link that he has used.
    assert Purpose.CHANGE_EMAIL in {link["purpose"] for link in export(bob)["links"]}


def test_its_sessions_have_no_secret(app: Flask, alice: Caller) -> None:
    change_session(app, alice.session_id, cookie_digest=b"1", previous_digest=b"2")
    (session,) = export(alice)["sessions"]
    assert not [name for name in session if "digest" in name]
    assert session["id"] == str(alice.session_id)


def test_it_is_sent_in_pieces_of_at_least_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "PIECE_CHARACTERS", 4)
    texts = ["ab", "cd", "e", "f", "ghi", "j", "k"]
    assert list(personal_data._in_pieces(texts)) == ["abcd", "efghi", "jk"]


@both_databases
def test_it_is_read_in_slices(app: Flask, alice: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(personal_data, "SLICE_ROWS", 3)
    monkeypatch.setattr(personal_data, "PIECE_CHARACTERS", 10)
    with app.app_context():
        write_events(10, user=ref_of(get_user(alice.id)))
        pieces = export_personal_data(alice.id)
        next(pieces)
        with executed(db.engine) as sent:
            rest = "".join(pieces)
    assert len(sent) > 5
    assert len(rest) > 1_000
    events = export(alice)["events"]
    ids = [event["id"] for event in events]
    assert len(ids) == 12
    assert ids == sorted(set(ids), reverse=True)


def test_it_is_limited(make_app: Callable[..., Flask], alice: Caller) -> None:
    alice.client = make_app(ratelimit_enabled=True).test_client()
    for _ in range(policy.EXPORT.amount):
        export(alice)
    assert_problem(alice.get(f"{USERS}/me/export"), 429, "rate_limited")


def test_own_events_do_not_show_from_where_an_administrator_acted(
    alice: Caller, admin: Caller
) -> None:
    agent = {"User-Agent": "a workstation of the administration"}
    body = {"display_name": "Alice Liddell"}
    assert admin.patch(f"{USERS}/{alice.id}", json=body, headers=agent).status_code == 200
    alice.patch(f"{USERS}/me", json={"display_name": "Alice"})
    for events in (alice.get(f"{USERS}/me/events").get_json()["items"], export(alice)["events"]):
        own, theirs = [e for e in events if e["action"] == "user.profile_changed"]
        assert own["ip"] == "127.0.0.1"
        assert (theirs["actor_id"], theirs["ip"], theirs["user_agent"]) == (
            str(admin.id),
            None,
            None,
        )
    path = f"/api/v1/audit-events?action=user.profile_changed&subject_id={alice.id}"
    assert admin.get(path).get_json()["items"][1]["user_agent"] == agent["User-Agent"]


def test_links_that_are_not_used_stay_out(mailbox: Mailbox, app: Flask, alice: Caller) -> None:
    alice.post(f"{USERS}/me/email", json={"new_email": FREE})
    work(app)
    assert links(app, purpose=Purpose.CHANGE_EMAIL)
    assert {link["purpose"] for link in export(alice)["links"]} == {Purpose.VERIFY_EMAIL}


@both_databases
def test_it_has_kinds_names_and_times_of_factors_and_no_secret(app: Flask, alice: Caller) -> None:
    phone = add_app(app, alice)
    with time_machine.travel(now() - timedelta(days=1)):
        give_passkey(app, alice.id, name="Laptop")
    found = export(alice)
    assert [(each["kind"], each["name"]) for each in found["factors"]] == [
        ("passkey", "Laptop"),
        ("totp", None),
    ]
    assert found["factors"][0].keys() == {"kind", "id", "name", "created_at", "last_used_at"}
    assert found["user"]["recovery_codes"]["left"] == 10
    assert found["user"]["recovery_codes"]["created_at"] is not None
    assert (found["user"]["failed_second_factors"], found["user"]["mfa_reset_at"]) == (0, None)
    assert not any(secret in str(found) for secret in (phone.secret, *phone.recovery_codes))
