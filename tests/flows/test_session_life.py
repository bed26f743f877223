"""The life of a session, from sign-in to its end."""

from flask import Flask
from flask.testing import FlaskClient

from tests.support.clients import PASSWORD, Caller, login
from tests.support.marks import both_databases


def refresh(client: FlaskClient, token: str) -> tuple[int, dict[str, str]]:
    response = client.post("/api/v1/auth/refresh", json={"refresh_token": token})
    return response.status_code, response.get_json()


@both_databases
def test_it_refreshes_and_logs_out(alice: Caller) -> None:
    status, tokens = refresh(alice.client, alice.tokens["refresh_token"])
    assert status == 200
    assert tokens["session_id"] == alice.tokens["session_id"]

    assert alice.post("/api/v1/auth/logout").status_code == 204

    again = alice.post("/api/v1/auth/logout")
    assert (again.status_code, again.get_json()["code"]) == (401, "session_revoked")
    assert alice.get("/api/v1/users/me").get_json()["code"] == "session_revoked"
    assert refresh(alice.client, tokens["refresh_token"])[1]["code"] == "session_revoked"


def test_it_keeps_the_current_session_through_a_new_password(app: Flask, alice: Caller) -> None:
    other = login(app.test_client(), "alice").get_json()

    body = {"current_password": PASSWORD, "new_password": "another horse, another staple"}
    assert alice.put("/api/v1/users/me/password", json=body).status_code == 204

    assert alice.get("/api/v1/users/me").status_code == 200
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    assert app.test_client().get("/api/v1/users/me", headers=headers).status_code == 401
    assert login(app.test_client(), "alice").status_code == 401
    assert login(app.test_client(), "alice", body["new_password"]).status_code == 200


def test_it_lists_and_ends_sessions(app: Flask, alice: Caller, charlie: Caller) -> None:
    other = login(app.test_client(), "alice").get_json()

    items = alice.get("/api/v1/users/me/sessions").get_json()["items"]
    assert [item["current"] for item in items] == [False, True]

    path = f"/api/v1/users/me/sessions/{other['session_id']}"
    assert charlie.delete(path).status_code == 404
    assert alice.delete(path).status_code == 204
    assert alice.delete(path).status_code == 404


@both_databases
def test_it_deletes_the_account(alice: Caller) -> None:
    assert alice.delete("/api/v1/users/me").status_code == 204
    assert alice.get("/api/v1/users/me").get_json()["code"] == "session_revoked"
    assert login(alice.client, "alice").status_code == 401


def test_it_reauthenticates(alice: Caller) -> None:
    wrong = alice.post("/api/v1/auth/reauthenticate", json={"password": "no"})
    assert (wrong.status_code, wrong.get_json()["code"]) == (403, "wrong_password")

    right = alice.post("/api/v1/auth/reauthenticate", json={"password": PASSWORD})
    assert sorted(right.get_json()) == ["access_token", "expires_in", "token_type"]


def test_it_throttles_wrong_passwords(app: Flask, alice: Caller) -> None:
    client = app.test_client()
    codes = [login(client, "alice", "wrong").get_json()["code"] for _ in range(6)]
    assert codes == ["invalid_credentials"] * 5 + ["too_many_attempts"]

    refused = login(client, "alice")
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 30
    assert alice.get("/api/v1/users/me").status_code == 200


def test_it_introspects(admin: Caller, alice: Caller) -> None:
    body = {"token": alice.tokens["access_token"]}
    for response in (
        admin.post("/api/v1/auth/introspect", json=body),
        admin.post("/api/v1/auth/introspect", data=body),
    ):
        assert response.get_json()["active"] is True, response.get_json()
    refused = admin.post("/api/v1/auth/introspect", json={"token": alice.tokens["refresh_token"]})
    assert refused.get_json() == {"active": False}
    assert alice.post("/api/v1/auth/introspect", json=body).status_code == 403
