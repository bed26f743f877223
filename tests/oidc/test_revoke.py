"""Revocation by the app."""

import pytest
import time_machine
from werkzeug.test import TestResponse

from tests.oidc.conftest import API, App, MakeApp, claims_of
from tests.oidc.test_codes import error
from tests.oidc.test_refresh import is_alive
from tests.support.clients import Caller
from tests.support.marks import both_databases
from tests.support.rows import audit_trail, change_session, live_session_row


def revoke(app: App, token: str | None, **fields: str | None) -> TestResponse:
    own = {"client_id": app.client_id, "client_secret": app.secret, "token": token, **fields}
    given = {name: value for name, value in own.items() if value is not None}
    return app.app.test_client().post("/oauth/revoke", data=given)


@both_databases
@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_the_grant_of_a_token_ends_and_no_other(wiki: App, kind: str) -> None:
    ended, other = wiki.sign_in("openid"), wiki.sign_in("openid")
    assert revoke(wiki, ended[kind]).status_code == 200
    assert not is_alive(wiki, ended)
    assert is_alive(wiki, other)
    (event,) = audit_trail(wiki.app, "session.revoked")
    assert event["details"]["reason"] == "logout"
    # A second time there is nothing left to end.
    assert revoke(wiki, ended[kind]).status_code == 200
    assert len(audit_trail(wiki.app, "session.revoked")) == 1
    assert live_session_row(wiki.app, wiki.browser_id)["revoked_at"] is None


def test_a_token_for_a_resource_is_the_apps_own_too(wiki: App) -> None:
    tokens = wiki.sign_in("openid", resource=API)
    revoke(wiki, tokens["access_token"])
    assert wiki.refresh(tokens["refresh_token"]).status_code == 400


def test_every_other_token_ends_nothing(
    clock: time_machine.Traveller, wiki: App, make_client: MakeApp, alice: Caller
) -> None:
    tokens, other = wiki.sign_in("openid"), make_client("other")
    clock.shift(1)
    for token in ("x", "", tokens["id_token"], alice.tokens["access_token"], "é"):
        answer = revoke(wiki, token or "a.b.c")
        assert (answer.status_code, answer.get_json()) == (200, {})
    for name in ("refresh_token", "access_token"):
        assert revoke(other, tokens[name]).status_code == 200
    assert is_alive(wiki, tokens)
    sid = claims_of(tokens["access_token"])["sid"]
    assert live_session_row(wiki.app, sid)["revoked_at"] is None


def test_a_refresh_token_of_another_family_ends_nothing(wiki: App) -> None:
    """Its signature is ours, but the session's row was made anew, as after a restored backup."""
    tokens = wiki.sign_in("openid")
    sid = claims_of(tokens["access_token"])["sid"]
    family = live_session_row(wiki.app, sid)["family_digest"]
    change_session(wiki.app, sid, family_digest=bytes(len(family)))
    assert revoke(wiki, tokens["refresh_token"]).status_code == 200
    assert live_session_row(wiki.app, sid)["revoked_at"] is None


def test_it_needs_a_client_and_a_token(wiki: App) -> None:
    token = wiki.sign_in("openid")["refresh_token"]
    assert error(revoke(wiki, token, client_secret=None)) == (401, "invalid_client")
    assert error(revoke(wiki, None)) == (400, "invalid_request")
    assert wiki.refresh(token).status_code == 200
