"""Administration of an account, from its invitation to its end."""

import pytest
from flask import Flask

from authserve.outbox.inspect import list_messages
from tests.support.clients import PASSWORD, Caller, login, register_caller
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases

USERS = "/api/v1/users"


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


@both_databases
def test_it_invites_and_deactivates(app: Flask, mailbox: Mailbox, admin: Caller) -> None:
    made = admin.post(USERS, json={"email": "eve@example.com", "display_name": "Eve"})
    assert made.status_code == 201, made.get_json()
    eve = f"{USERS}/{made.get_json()['id']}"
    assert admin.post(f"{eve}/invitation").status_code == 202
    work(app)
    (letter,) = mailbox.to("eve@example.com")

    body = {"token": letter.token, "password": PASSWORD, "username": "eve"}
    accepted = app.test_client().post("/api/v1/auth/invitation/accept", json=body)
    assert sorted(accepted.get_json()) == ["device_token"]
    assert admin.post(f"{eve}/invitation").get_json()["code"] == "already_active"
    assert login(app.test_client(), "eve").status_code == 200

    status = admin.get(f"{eve}/sign-in-status").get_json()
    assert (status["can_sign_in"], status["live_sessions"]) == (True, 1)
    assert [mail["state"] for mail in status["mails"]] == ["sent", "dropped"]

    changed = admin.patch(eve, json={"is_active": False})
    assert changed.get_json()["is_active"] is False
    assert login(app.test_client(), "eve").get_json()["code"] == "account_disabled"
    status = admin.get(f"{eve}/sign-in-status").get_json()
    assert (status["reasons"], status["live_sessions"]) == (["account_disabled"], 0)
    assert status["last_failures"][0]["reason"] == "account_disabled"

    assert admin.delete(eve).status_code == 204
    assert admin.get(eve).status_code == 404


@both_databases
def test_it_keeps_helpers_below_administrators(app: Flask, admin: Caller) -> None:
    permissions = ["roles:write", "shop:sell", "users:read", "users:write"]
    role = {"name": "helper", "permissions": permissions}
    assert admin.post("/api/v1/roles", json=role).status_code == 201
    helper = register_caller(app, "helper", roles=("helper",))

    boss = f"{USERS}/{admin.id}"
    assert helper.get(boss).status_code == 200
    for response in (
        helper.patch(boss, json={"email": "mine@example.com"}),
        helper.post(f"{boss}/password-reset"),
        helper.delete(boss),
        helper.post(USERS, json={"email": "x@example.com", "roles": ["admin"]}),
        helper.post("/api/v1/roles", json={"name": "x", "permissions": ["shop:steal"]}),
    ):
        assert response.get_json()["code"] == "insufficient_permissions"
    assert admin.delete("/api/v1/roles/helper").get_json()["code"] == "role_in_use"
    last = admin.put(f"{boss}/roles", json={"roles": ["user"]})
    assert last.get_json()["code"] == "last_admin"


@both_databases
def test_it_finds_accounts_and_events(admin: Caller, alice: Caller, bob: Caller) -> None:
    first = admin.get(f"{USERS}?limit=2").get_json()
    second = admin.get(f"{USERS}?limit=2&cursor={first['next_cursor']}").get_json()
    names = [item["username"] for item in first["items"] + second["items"]]
    assert (names, second["next_cursor"]) == (["bob", "alice", "admin"], None)
    found = admin.get(f"{USERS}?q=ALI&role=user&is_active=true").get_json()["items"]
    assert [item["username"] for item in found] == ["alice"]

    path = f"/api/v1/audit-events?action=session.started&subject_id={bob.id}"
    (event,) = admin.get(path).get_json()["items"]
    assert (event["actor_id"], event["details"]["amr"]) == (str(bob.id), ["pwd"])
    mine = alice.get("/api/v1/users/me/events").get_json()["items"]
    assert [item["action"] for item in mine] == ["session.started", "user.registered"]
    assert alice.get(USERS).status_code == 403


@both_databases
def test_it_hands_out_and_forgets_personal_data(
    app: Flask, mailbox: Mailbox, admin: Caller, alice: Caller
) -> None:
    work(app)
    held = alice.get(f"{USERS}/me/export").get_json()
    assert held["user"]["email"] == "alice@example.com"
    assert [len(held[part]) for part in ("sessions", "links", "mails")] == [1, 1, 1]
    assert not [name for name in held["sessions"][0] if name.endswith("digest")]
    assert {event["action"] for event in held["events"]} == {"user.registered", "session.started"}

    alices = alice.user["id"]
    assert alice.delete(f"{USERS}/me").status_code == 204
    events = admin.get("/api/v1/audit-events?action=user.deleted").get_json()["items"]
    assert (events[0]["subject_id"], events[0]["ip"], events[0]["details"]) == (alices, None, {})
    with app.app_context():
        topics = [message.topic for message in list_messages(limit=10)]
    assert topics == ["verify_email:admin@example.com"]
