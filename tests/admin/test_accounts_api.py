"""The API of other people's accounts."""

from collections.abc import Iterator
from datetime import timedelta
from uuid import UUID

import pytest
import time_machine
from flask import Flask
from sqlalchemy import update

from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.rbac.policy import Permission
from authserve.users.models import User
from tests.support.clients import PASSWORD, Caller, login, register, register_caller, sign_in
from tests.support.crowd import all_at_once, persistently
from tests.support.mail import Mailbox, open_mailbox, work
from tests.support.marks import both_databases

USERS = "/api/v1/users"


def code(response) -> str:
    return response.get_json()["code"]


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


@pytest.fixture
def helper(app: Flask, admin: Caller) -> Caller:
    """A caller who may read and write accounts and sessions, but is no administrator."""
    permissions = ["users:read", "users:write", "sessions:read", "sessions:write", "roles:write"]
    role = {"name": "helper", "permissions": permissions}
    assert admin.post("/api/v1/roles", json=role).status_code == 201
    return register_caller(app, "helper", roles=("helper",))


CALLS = [
    ("GET", "", None, "users:read"),
    ("POST", "", {"email": "x@example.com"}, "users:write"),
    ("GET", "/{id}", None, "users:read"),
    ("PATCH", "/{id}", {"display_name": "X"}, "users:write"),
    ("DELETE", "/{id}", None, "users:write"),
    ("POST", "/{id}/invitation", None, "users:write"),
    ("PUT", "/{id}/roles", {"roles": ["user"]}, "roles:write"),
    ("GET", "/{id}/sessions", None, "sessions:read"),
    ("DELETE", "/{id}/sessions", None, "sessions:write"),
    ("GET", "/{id}/sign-in-status", None, "users:read"),
    ("GET", "/{id}/factors", None, "users:read"),
    ("POST", "/{id}/password-reset", None, "users:write"),
    ("POST", "/{id}/mfa-reset", None, "users:write"),
]


@pytest.mark.parametrize(("method", "path", "body", "permission"), CALLS)
def test_each_call_needs_its_permission_and_no_other(
    app: Flask,
    admin: Caller,
    alice: Caller,
    method: str,
    path: str,
    body: dict[str, object] | None,
    permission: str,
) -> None:
    others = sorted(set(Permission) - {permission})
    for name, permissions in (("most", others), ("one", [permission])):
        role = {"name": name, "permissions": permissions}
        assert admin.post("/api/v1/roles", json=role).status_code == 201
    url = USERS + path.format(id=alice.id)
    most = register_caller(app, "most", roles=("most",))
    one = register_caller(app, "one", roles=("one",))

    assert app.test_client().open(url, method=method, json=body).status_code == 401
    assert code(most.call(method, url, json=body)) == "insufficient_permissions"
    assert one.call(method, url, json=body).status_code in (200, 201, 202, 204, 409)


@pytest.mark.parametrize(("method", "path", "body", "_permission"), CALLS[2:])
def test_each_call_says_that_there_is_no_such_user(
    admin: Caller, method: str, path: str, body: dict[str, object] | None, _permission: str
) -> None:
    url = USERS + path.format(id="01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f")
    missing = admin.call(method, url, json=body)
    assert (missing.status_code, code(missing)) == (404, "user_not_found")
    garbled = admin.call(method, USERS + path.format(id="x%00y"), json=body)
    assert garbled.status_code in (400, 404)


WRITES = [
    ("PATCH", "", {"email": "mine@example.com"}),
    ("PATCH", "", {"is_active": False}),
    ("DELETE", "", None),
    ("PUT", "/roles", {"roles": ["user"]}),
    ("DELETE", "/sessions", None),
    ("POST", "/password-reset", None),
    ("POST", "/mfa-reset", None),
    ("POST", "/invitation", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRITES)
def test_no_caller_acts_on_an_account_with_more_permissions(
    helper: Caller, admin: Caller, method: str, path: str, body: dict[str, object] | None
) -> None:
    response = helper.call(method, f"{USERS}/{admin.id}{path}", json=body)
    assert (response.status_code, code(response)) == (403, "insufficient_permissions")
    assert admin.get(f"{USERS}/me").get_json()["email"] == "admin@example.com"


def test_holding_all_permissions_makes_no_administrator(app: Flask, admin: Caller) -> None:
    role = {"name": "everything", "permissions": list(Permission)}
    admin.post("/api/v1/roles", json=role)
    deputy = register_caller(app, "deputy", roles=("everything",))
    assert deputy.patch(f"{USERS}/{admin.id}", json={"is_active": False}).status_code == 403
    promoted = deputy.put(f"{USERS}/{deputy.id}/roles", json={"roles": ["admin"]})
    assert promoted.status_code == 403


def test_no_caller_grants_more_than_they_hold(helper: Caller, admin: Caller, alice: Caller) -> None:
    path = f"{USERS}/{alice.id}/roles"
    assert code(helper.put(path, json={"roles": ["admin"]})) == "insufficient_permissions"
    invited = helper.post(USERS, json={"email": "x@example.com", "roles": ["admin"]})
    assert code(invited) == "insufficient_permissions"
    assert admin.get(f"{USERS}?q=x@").get_json()["items"] == []
    granted = helper.put(path, json={"roles": ["helper", "user"]})
    assert granted.get_json()["roles"] == ["helper", "user"]


def test_a_granted_role_counts_at_once(admin: Caller, alice: Caller) -> None:
    assert alice.get(USERS).status_code == 403
    admin.put(f"{USERS}/{alice.id}/roles", json={"roles": ["admin", "user"]})
    assert alice.get(USERS).status_code == 200
    admin.put(f"{USERS}/{alice.id}/roles", json={"roles": ["user"]})
    assert alice.get(USERS).status_code == 403


def test_an_unknown_role_changes_nothing(admin: Caller, alice: Caller) -> None:
    response = admin.put(f"{USERS}/{alice.id}/roles", json={"roles": ["user", "king"]})
    assert (response.status_code, code(response)) == (404, "role_not_found")
    assert admin.get(f"{USERS}/{alice.id}").get_json()["roles"] == ["user"]


def test_deactivation_ends_every_session(app: Flask, admin: Caller, alice: Caller) -> None:
    changed = admin.patch(f"{USERS}/{alice.id}", json={"is_active": False})
    assert changed.get_json()["is_active"] is False
    assert code(alice.get(f"{USERS}/me")) == "session_revoked"
    refresh = {"refresh_token": alice.tokens["refresh_token"]}
    refused = app.test_client().post("/api/v1/auth/refresh", json=refresh)
    assert code(refused) == "session_revoked"
    admin.patch(f"{USERS}/{alice.id}", json={"is_active": True})
    assert code(alice.get(f"{USERS}/me")) == "session_revoked"
    assert login(app.test_client(), "alice").status_code == 200


def test_a_new_address_is_unverified_and_the_old_one_is_notified(
    app: Flask, mailbox: Mailbox, admin: Caller, alice: Caller
) -> None:
    app.test_client().post("/api/v1/auth/password/forgot", json={"email": "alice@example.com"})
    work(app)
    token = mailbox.to("alice@example.com")[-1].token
    path = f"{USERS}/{alice.id}"

    changed = admin.patch(path, json={"email": "Liddell@Example.com"}).get_json()
    assert (changed["email"], changed["email_verified"]) == ("liddell@example.com", False)
    work(app)
    assert mailbox.to("alice@example.com")[-1].subject == "Your email address was changed"
    reset = {"token": token, "new_password": "another horse, another staple"}
    dead = app.test_client().post("/api/v1/auth/password/reset", json=reset)
    assert code(dead) == "invalid_or_expired_token"

    said = admin.patch(path, json={"email": "a@example.com", "email_verified": True})
    assert said.get_json()["email_verified"] is True


@pytest.mark.parametrize("is_verified_before", [True, False])
def test_a_new_address_is_unverified_whatever_the_old_one_was(
    admin: Caller, alice: Caller, is_verified_before: bool
) -> None:
    path = f"{USERS}/{alice.id}"
    before = admin.patch(path, json={"email_verified": is_verified_before}).get_json()
    assert before["email_verified"] is is_verified_before

    changed = admin.patch(path, json={"email": "liddell@example.com"}).get_json()
    assert (changed["email"], changed["email_verified"]) == ("liddell@example.com", False)


def test_the_same_address_stays_verified(admin: Caller, alice: Caller) -> None:
    path = f"{USERS}/{alice.id}"
    admin.patch(path, json={"email_verified": True})
    same = admin.patch(path, json={"email": "ALICE@example.com"}).get_json()
    assert (same["email"], same["email_verified"]) == ("alice@example.com", True)


@pytest.mark.parametrize("is_sent_before", [True, False])
def test_a_new_address_ends_the_users_own_pending_change(
    mailbox: Mailbox, app: Flask, admin: Caller, alice: Caller, is_sent_before: bool
) -> None:
    path = f"{USERS}/{alice.id}"
    alice.post(f"{USERS}/me/email", json={"new_email": "wonderland@example.com"})
    if is_sent_before:
        work(app)
    admin.patch(path, json={"email": "liddell@example.com"})
    work(app)

    letters = mailbox.to("wonderland@example.com")
    assert len(letters) == is_sent_before
    for letter in letters:
        confirmed = alice.post(f"{USERS}/me/email/confirm", json={"token": letter.token})
        assert code(confirmed) == "invalid_or_expired_token"
    assert admin.get(path).get_json()["email"] == "liddell@example.com"


@pytest.mark.parametrize("change", [{"username": "liddell"}, {"display_name": "Liddell"}])
def test_one_name_changes_alone(admin: Caller, alice: Caller, change: dict[str, str]) -> None:
    path = f"{USERS}/{alice.id}"
    before = admin.get(path).get_json()
    changed = admin.patch(path, json=change).get_json()
    assert changed == {**before, **change, "updated_at": changed["updated_at"]}


@both_databases
def test_a_taken_name_changes_nothing(admin: Caller, alice: Caller, bob: Caller) -> None:
    path = f"{USERS}/{alice.id}"
    body = {"display_name": "New", "email": "bob@example.com"}
    assert code(admin.patch(path, json=body)) == "email_taken"
    assert code(admin.patch(path, json={"display_name": "New", "username": "bob"})) == (
        "username_taken"
    )
    assert admin.get(path).get_json() == {
        **alice.user,
        "last_login_at": admin.get(path).get_json()["last_login_at"],
    }


@pytest.mark.parametrize(
    "body",
    [
        {"is_active": "yes"},
        {"is_active": 1},
        {"is_active": None},
        {"email_verified": "true"},
        {"email": None},
        {"email": "unknown"},
        {"username": "x"},
        {"roles": ["admin"]},
        {"password": PASSWORD},
        {"mfa_enabled": True},
    ],
)
def test_it_refuses_malformed_changes(
    admin: Caller, alice: Caller, body: dict[str, object]
) -> None:
    response = admin.patch(f"{USERS}/{alice.id}", json=body)
    assert (response.status_code, code(response)) == (422, "validation_failed")


def test_the_last_administrator_stays(admin: Caller) -> None:
    for response in (
        admin.put(f"{USERS}/{admin.id}/roles", json={"roles": ["user"]}),
        admin.delete(f"{USERS}/me"),
    ):
        assert (response.status_code, code(response)) == (409, "last_admin")
    assert admin.get(f"{USERS}/me").status_code == 200


@pytest.mark.parametrize(
    ("method", "body"),
    [
        ("PATCH", {"email": "boss@example.com"}),
        ("PATCH", {"email": "admin@example.com"}),
        ("PATCH", {"email_verified": True}),
        ("PATCH", {"is_active": False}),
        ("PATCH", {"is_active": True, "display_name": "Boss"}),
        ("DELETE", None),
    ],
)
def test_an_own_account_has_calls_of_its_own(
    app: Flask, admin: Caller, method: str, body: dict[str, object] | None
) -> None:
    register_caller(app, "deputy", roles=("admin",))
    path = f"{USERS}/{admin.id}"
    before = admin.get(path).get_json()
    response = admin.call(method, path, json=body)
    assert (response.status_code, code(response)) == (409, "own_account")
    assert admin.get(path).get_json() == before


def test_an_own_name_can_be_changed_by_id(admin: Caller) -> None:
    changed = admin.patch(f"{USERS}/{admin.id}", json={"display_name": "Boss"})
    assert changed.get_json()["display_name"] == "Boss"


@both_databases
def test_twenty_requests_at_once_leave_an_administrator(app: Flask) -> None:
    """Administrators demote, deactivate and delete each other, all at once."""
    admins = [register_caller(app, f"admin{n}", roles=("admin",)) for n in range(5)]

    def attacks() -> Iterator[object]:
        for n, caller in enumerate(admins):
            path = f"{USERS}/{admins[n - 1].id}"
            yield lambda c=caller, p=path: c.patch(p, json={"is_active": False})
            yield lambda c=caller, p=path: c.put(f"{p}/roles", json={"roles": ["user"]})
            yield lambda c=caller, p=path: c.delete(p)
            yield lambda c=caller: c.delete(f"{USERS}/me")

    calls = [lambda a=attack: persistently(a) for attack in attacks()]
    statuses = {response.status_code for response in all_at_once(calls)}
    assert statuses <= {200, 204, 401, 403, 404, 409}

    result = app.test_cli_runner().invoke(
        args=["users", "list", "--role", "admin", "--active", "--json"]
    )
    assert result.stdout.splitlines()


def test_a_triggered_reset_ends_sessions_and_mails_a_link(
    app: Flask, mailbox: Mailbox, admin: Caller, alice: Caller
) -> None:
    answer = admin.post(f"{USERS}/{alice.id}/password-reset")
    assert (answer.status_code, answer.get_json()) == (202, {})
    assert code(alice.get(f"{USERS}/me")) == "session_revoked"
    work(app)
    letter = mailbox.to("alice@example.com")[-1]
    assert letter.subject == "Set a new password"
    assert login(app.test_client(), "alice").status_code == 200


@both_databases
def test_it_lists_and_ends_a_users_sessions(admin: Caller, alice: Caller) -> None:
    path = f"{USERS}/{alice.id}/sessions"
    (session,) = admin.get(path).get_json()["items"]
    assert (session["id"], session["current"]) == (str(alice.session_id), False)
    assert admin.delete(path).status_code == 204
    assert admin.get(path).get_json() == {"items": [], "next_cursor": None}
    assert alice.get(f"{USERS}/me").status_code == 401


def names(caller: Caller, query: str) -> list[str]:
    response = caller.get(f"{USERS}?{query}")
    assert response.status_code == 200, response.get_json()
    return [item["username"] for item in response.get_json()["items"]]


@both_databases
def test_it_filters_the_list(
    app: Flask, clock: time_machine.Traveller, admin: Caller, alice: Caller
) -> None:
    clock.shift(timedelta(minutes=1))
    register(app.test_client(), "bob", display_name="ALIA Ælfric")
    register(app.test_client(), "eve", email="ALIx@example.org")
    admin.patch(f"{USERS}/{alice.id}", json={"is_active": False})

    assert names(admin, "q=ali") == ["bob", "alice", "eve"]
    assert names(admin, "q=%20aLIA%20%C3%86lf") == ["bob"]
    assert names(admin, "q=ali&is_active=true") == ["bob", "eve"]
    assert names(admin, "q=@example.com") == ["bob", "alice", "admin"]
    assert names(admin, "q=@EXAMPLE.org&is_active=true") == ["eve"]
    assert names(admin, "q=@example") == names(admin, "q=@") == names(admin, "q=@x%20y") == []
    assert names(admin, "mfa_enabled=false&role=admin") == ["admin"]
    assert names(admin, "mfa_enabled=true") == []
    assert names(admin, "updated_after=2030-01-01T12:00:30Z") == ["alice", "bob", "eve"]
    assert names(admin, "updated_after=2030-01-01T12:01:00Z") == []
    assert names(admin, "is_active=false") == ["alice"]
    assert names(admin, "role=admin") == ["admin"]
    assert names(admin, "role=unknown") == []
    assert names(admin, "q=%25") == []
    assert names(admin, "created_after=2030-01-01T12:00:30Z") == ["eve", "bob"]
    assert names(admin, "created_before=2030-01-01T13:00:30%2B01:00") == ["alice", "admin"]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=x",
        "limit=1&limit=2",
        "is_active=1",
        "mfa_enabled=yes",
        "updated_after=2030-01-01",
        "is_active=",
        "created_after=yesterday",
        "created_after=2026-01-01T00:00:00",
        "created_before=9999-99-99T00:00:00Z",
        "cursor=forged",
        "cursor=AAAA",
        # A cursor of a release whose list was ordered by id alone.
        "cursor=AZMvXnwafTufPjpbbH2Onw",
        "q=",
        "q=" + "x" * 255,
        # A cursor of a list by time, and one of a search.
        "q=a&cursor=A7vSJhJMQAABky9eewx6e0q2nz4W4bpd",
        "cursor=AAGTL157DHp7SrafPhbhul1hbGljZQ",
        "sort=email",
    ],
)
def test_it_refuses_malformed_queries(admin: Caller, query: str) -> None:
    assert admin.get(f"{USERS}?{query}").status_code == 422


@both_databases
def test_sign_in_status_lists_every_obstacle(
    app: Flask, mailbox: Mailbox, admin: Caller, alice: Caller
) -> None:
    path = f"{USERS}/{alice.id}/sign-in-status"
    status = admin.get(path).get_json()
    assert (status["can_sign_in"], status["reasons"]) == (True, [])
    assert (status["has_password"], status["is_active"]) == (True, True)
    assert (status["live_sessions"], status["throttled_until"]) == (1, None)
    assert status["last_success"] is not None
    assert [(mail["kind"], mail["state"]) for mail in status["mails"]] == [
        ("verify_email", "pending")
    ]

    for _ in range(5):
        login(app.test_client(), "alice", "wrong password")
    admin.patch(f"{USERS}/{alice.id}", json={"is_active": False})
    status = admin.get(path).get_json()
    assert status["reasons"] == ["account_disabled", "throttled"]
    assert status["can_sign_in"] is False
    assert status["throttled_until"] is not None
    assert [failure["reason"] for failure in status["last_failures"]] == ["wrong_password"] * 5
    assert status["last_failures"][0]["correlation_id"]
    assert "alice@example.com" not in str(status)


def test_sign_in_status_of_the_invited(app: Flask, mailbox: Mailbox, admin: Caller) -> None:
    invited = admin.post(USERS, json={"email": "eve@example.com"}).get_json()
    work(app)
    status = admin.get(f"{USERS}/{invited['id']}/sign-in-status").get_json()
    assert (status["reasons"], status["last_success"]) == (["no_password"], None)
    (mail,) = status["mails"]
    assert (mail["kind"], mail["state"], mail["attempts"]) == ("invitation", "sent", 1)
    assert mail["sent_at"] is not None


@both_databases
def test_deletion_leaves_nothing_behind(app: Flask, admin: Caller, alice: Caller) -> None:
    assert admin.delete(f"{USERS}/{alice.id}").status_code == 204
    assert admin.get(f"{USERS}/{alice.id}").status_code == 404
    assert code(alice.get(f"{USERS}/me")) == "session_revoked"
    assert register(app.test_client(), "alice", username="alice2").status_code == 201
    assert login(app.test_client(), "alice2").status_code == 200


@both_databases
def test_a_search_continues_from_its_cursor(admin: Caller, alice: Caller, bob: Caller) -> None:
    emails, cursor = [], ""
    while cursor is not None:
        page = admin.get(f"{USERS}?limit=1&q=a{cursor and f'&cursor={cursor}'}").get_json()
        emails += [item["email"] for item in page["items"]]
        cursor = page["next_cursor"]
    assert emails == ["admin@example.com", "alice@example.com"]


@both_databases
def test_a_search_takes_a_domain_in_unicode_or_punycode(app: Flask, admin: Caller) -> None:
    register(app.test_client(), "eve", email="eve@münchen.example")
    for query in ("eve@münchen.example", "eve@xn--mnchen-3ya", "@münchen.example", "eve@mü"):
        found = admin.get(USERS, query_string={"q": query})
        assert [item["username"] for item in found.get_json()["items"]] == ["eve"], query


def changed_by(caller: Caller, path: str, expected: str, body: dict[str, object]):
    method = "PUT" if "roles" in body else "PATCH"
    return caller.call(method, path, json={**body, "expected_updated_at": expected})


@both_databases
def test_a_change_can_be_bound_to_what_was_seen(
    clock: time_machine.Traveller, admin: Caller, alice: Caller
) -> None:
    """The clock is frozen, and yet no two states of an account share an `updated_at`."""
    path = f"{USERS}/{alice.id}"
    seen = alice.user["updated_at"]
    renamed = changed_by(admin, path, seen, {"display_name": "A"})
    assert renamed.status_code == 200
    for stale, body in ((path, {"display_name": "B"}), (f"{path}/roles", {"roles": []})):
        refused = changed_by(admin, stale, seen, body)
        assert (refused.status_code, code(refused)) == (409, "changed_meanwhile")
    assert admin.get(path).get_json() == renamed.get_json()

    granted = changed_by(admin, f"{path}/roles", renamed.get_json()["updated_at"], {"roles": []})
    assert (granted.status_code, granted.get_json()["roles"]) == (200, [])
    again = changed_by(admin, path, renamed.get_json()["updated_at"], {"display_name": "B"})
    assert code(again) == "changed_meanwhile"
    same = changed_by(admin, path, granted.get_json()["updated_at"], {"display_name": "A"})
    assert same.get_json() == granted.get_json()


@pytest.mark.parametrize("expected", ["yesterday", None, "2030-01-01T12:00:00", 1])
def test_it_refuses_an_expectation_that_is_no_time(
    admin: Caller, alice: Caller, expected: object
) -> None:
    body = {"display_name": "A", "expected_updated_at": expected}
    assert admin.patch(f"{USERS}/{alice.id}", json=body).status_code == 422


@both_databases
def test_of_twenty_changes_of_one_state_one_succeeds(app: Flask, admin: Caller) -> None:
    alice = register_caller(app, "alice")
    seen, path = alice.user["updated_at"], f"{USERS}/{alice.id}"
    calls = [
        lambda n=n: persistently(lambda: changed_by(admin, path, seen, {"display_name": f"A{n}"}))
        for n in range(10)
    ]
    calls += [
        lambda: persistently(lambda: changed_by(admin, f"{path}/roles", seen, {"roles": []}))
    ] * 10
    answers = all_at_once(calls)
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert {code(answer) for answer in answers if answer.status_code == 409} == {
        "changed_meanwhile"
    }
    (done,) = (answer.get_json() for answer in answers if answer.status_code == 200)
    # The answer to a change of roles holds the new time, too.
    assert admin.get(path).get_json() == done


def test_an_activated_account_is_not_invited(
    app: Flask, mailbox: Mailbox, admin: Caller, alice: Caller
) -> None:
    assert code(admin.post(f"{USERS}/{alice.id}/invitation")) == "already_active"
    eve = admin.post(USERS, json={"email": "eve@example.com"}).get_json()
    work(app)
    body = {"token": mailbox.to("eve@example.com")[-1].token, "password": PASSWORD}
    assert admin.post(f"{USERS}/{eve['id']}/invitation").status_code == 202
    # An account that had a credential once stays activated, even without it.
    set_columns(app, eve["id"], activated_at=now())
    assert code(admin.post(f"{USERS}/{eve['id']}/invitation")) == "already_active"
    accepted = app.test_client().post("/api/v1/auth/invitation/accept", json=body)
    assert code(accepted) == "invalid_or_expired_token"
    # The release before sets passwords without a note of the time.
    set_columns(app, str(alice.id), activated_at=None)
    assert code(admin.post(f"{USERS}/{alice.id}/invitation")) == "already_active"


def set_columns(app: Flask, user_id: str, **values: object) -> None:
    with app.app_context(), transaction() as session:
        session.execute(update(User).where(User.id == UUID(user_id)).values(**values))


def test_times_of_invitation_and_activation_are_in_the_own_export(
    app: Flask, mailbox: Mailbox, admin: Caller
) -> None:
    admin.post(USERS, json={"email": "eve@example.com", "username": "eve"})
    work(app)
    body = {"token": mailbox.to("eve@example.com")[-1].token, "password": PASSWORD}
    assert app.test_client().post("/api/v1/auth/invitation/accept", json=body).status_code == 200
    eve = sign_in(app.test_client(), "eve", user={})
    user = eve.get(f"{USERS}/me/export").get_json()["user"]
    assert user["created_at"] <= user["invited_at"] < user["activated_at"]
    assert user["activated_at"].endswith("Z")


def test_an_administrator_who_is_only_invited_does_not_count(app: Flask, admin: Caller) -> None:
    admin.post(USERS, json={"email": "eve@example.com", "roles": ["admin"]})
    assert code(admin.delete(f"{USERS}/me")) == "last_admin"
    register_caller(app, "deputy", roles=("admin",))
    assert admin.delete(f"{USERS}/me").status_code == 204
