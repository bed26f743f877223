"""The journey from registration to a signed-in user."""

from flask.testing import FlaskClient

from tests.support.clients import login, register
from tests.support.marks import both_databases


@both_databases
def test_it_leads_from_registration_to_the_own_account(client: FlaskClient) -> None:
    registered = register(client, "alice", display_name="Alice Liddell")
    assert registered.status_code == 201

    tokens = login(client, "ALICE@example.com").get_json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = client.get("/api/v1/users/me", headers=headers).get_json()

    assert me == {**registered.get_json(), "last_login_at": me["last_login_at"]}
    assert me["last_login_at"] is not None
