"""The ends of API keys."""

from collections.abc import Callable
from contextlib import suppress
from uuid import uuid4

from flask import Flask

from authserve.apikeys.create import create_key
from authserve.apikeys.listing import find_keys
from authserve.apikeys.policy import DEFAULT_LIFETIME
from authserve.auth.logout import logout_everywhere
from authserve.auth.queries import find_session
from authserve.core.actor import RequestInfo
from authserve.core.errors import SessionRevokedError
from tests.apikeys.conftest import OWN, MakeKey
from tests.support.api_keys import give_api_key
from tests.support.clients import PASSWORD, Caller
from tests.support.crowd import all_at_once
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.rows import audit_trail

NEW_PASSWORD = "another horse, another staple"


def keys_of(caller: Caller) -> list[str]:
    """Return the ids of a user's keys, newest first."""
    return [item["id"] for item in caller.get(OWN).get_json()["items"]]


def test_an_owner_revokes_one(app: Flask, alice: Caller, make_key: MakeKey) -> None:
    kept, gone = make_key(alice), make_key(alice)
    assert alice.delete(f"{OWN}/{gone.id}").status_code == 204
    assert keys_of(alice) == [str(kept.id)]
    again = alice.delete(f"{OWN}/{gone.id}")
    assert (again.status_code, again.get_json()["code"]) == (404, "api_key_not_found")
    (event,) = audit_trail(app, "api_key.revoked")
    assert event["details"] == {"key_id": str(gone.id)}


def test_no_user_revokes_the_key_of_another(
    alice: Caller, charlie: Caller, make_key: MakeKey
) -> None:
    made = make_key(alice)
    assert charlie.delete(f"{OWN}/{made.id}").status_code == 404
    path = f"/api/v1/users/{alice.id}/api-keys"
    assert charlie.get(path).status_code == 403
    assert charlie.delete(path).status_code == 403
    assert keys_of(alice) == [str(made.id)]


def test_an_administrator_lists_and_revokes_all(
    app: Flask, alice: Caller, admin: Caller, make_key: MakeKey
) -> None:
    made, _other = make_key(alice), make_key(alice)
    path = f"/api/v1/users/{alice.id}/api-keys"
    page = admin.get(path, query_string={"limit": 1}).get_json()
    rest = admin.get(path, query_string={"cursor": page["next_cursor"]}).get_json()
    assert [item["id"] for item in rest["items"]] == [str(made.id)]
    assert admin.delete(path).status_code == 204
    assert admin.delete(path).status_code == 204
    assert keys_of(alice) == []
    (event,) = audit_trail(app, "api_key.revoked")
    assert event["details"] == {"count": 2}
    missing = f"/api/v1/users/{uuid4()}/api-keys"
    assert [admin.get(missing).status_code, admin.delete(missing).status_code] == [404, 404]


def test_logout_everywhere_ends_them_if_it_includes_them(
    app: Flask, alice: Caller, make_key: MakeKey
) -> None:
    make_key(alice)
    alice.post("/api/v1/auth/logout-all", json={"include": ["apps"]})
    assert audit_trail(app, "api_key.revoked") == []
    body = {"identifier": "alice", "password": PASSWORD}
    alice.tokens = alice.client.post("/api/v1/auth/login", json=body).get_json()
    alice.post("/api/v1/auth/logout-all", json={"include": ["api-keys"]})
    assert len(audit_trail(app, "api_key.revoked")) == 1


def test_logout_everywhere_ends_them_while_the_feature_is_off(
    app: Flask, make_app: Callable[..., Flask], alice: Caller, bob: Caller, make_key: MakeKey
) -> None:
    """The call answers that they have ended, so none is back with the feature."""
    program, (_, others) = make_key(alice), give_api_key(app, bob.id)
    headers = {"Authorization": f"Bearer {alice.tokens['access_token']}"}
    client, body = make_app(features=()).test_client(), {"include": ["api-keys"]}
    answer = client.post("/api/v1/auth/logout-all", json=body, headers=headers)
    assert answer.status_code == 204
    assert program.get("/api/v1/users/me").status_code == 401
    of_bob = {"Authorization": f"Bearer {others}"}
    assert app.test_client().get("/api/v1/users/me", headers=of_bob).status_code == 200
    (event,) = audit_trail(app, "api_key.revoked")
    assert (event["subject_audit_id"], event["details"]) == (alice.id, {"count": 1})


def test_a_reset_of_the_password_ends_them_and_a_change_does_not(
    app: Flask, alice: Caller, make_key: MakeKey
) -> None:
    make_key(alice)
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert alice.put("/api/v1/users/me/password", json=body).status_code == 204
    assert len(keys_of(alice)) == 1
    mailbox = open_mailbox(app)
    forgotten = {"email": "alice@example.com"}
    alice.client.post("/api/v1/auth/password/forgot", json=forgotten)
    work(app)
    reset = {"token": mailbox.to("alice@example.com")[-1].token, "new_password": PASSWORD}
    assert alice.client.post("/api/v1/auth/password/reset", json=reset).status_code == 200
    (event,) = audit_trail(app, "api_key.revoked")
    assert event["details"] == {"count": 1}


def test_a_reset_of_second_factors_ends_them(
    app: Flask, alice: Caller, admin: Caller, make_key: MakeKey
) -> None:
    make_key(alice)
    answer = admin.post(f"/api/v1/users/{alice.id}/mfa-reset")
    assert answer.status_code == 202
    assert len(audit_trail(app, "api_key.revoked")) == 1


def test_the_account_takes_its_keys_along(
    app: Flask, alice: Caller, admin: Caller, make_key: MakeKey
) -> None:
    make_key(alice)
    assert alice.delete("/api/v1/users/me").status_code == 204
    assert admin.get(f"/api/v1/users/{alice.id}/api-keys").status_code == 404


@both_databases
def test_no_key_outlives_the_end_of_everything(app: Flask, alice: Caller) -> None:
    """A key that is made at the same time ends, too, or is refused with its session."""
    with app.app_context():
        session = find_session(alice.session_id)
    assert session is not None

    def make() -> None:
        with app.app_context(), suppress(SessionRevokedError):
            create_key(
                name="Report",
                scopes=["account"],
                expires_in=DEFAULT_LIFETIME,
                actor=session.actor,
                request=RequestInfo(),
            )

    def end() -> None:
        with app.app_context():
            logout_everywhere(include=["api-keys"], actor=session.actor, request=RequestInfo())

    all_at_once([*[make] * 4, end, *[make] * 4])
    with app.app_context():
        assert find_keys(alice.id) == []
