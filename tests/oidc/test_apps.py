"""The apps that can use an account: listed, and their access ended by its user."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.clients.registry import delete_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now, to_rfc3339
from authserve.oidc.apps import list_apps
from authserve.oidc.consents import find_consent
from tests.oidc.conftest import App, MakeApp, claims_of
from tests.oidc.test_codes import INVALID, error
from tests.oidc.test_revoke import revoke
from tests.support.browsing import Visit
from tests.support.clients import Caller, login
from tests.support.factors import give_totp
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.oauth_clients import allow_client
from tests.support.rows import audit_trail, change_session, count_sessions

APPS = "/api/v1/users/me/apps"

STRANGE: dict[str, Any] = {"first_party": False}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages and the identity provider."""
    return make_app(features=("pages", "oidc"))


def allow(app: App, *scopes: str) -> None:
    """Let the app's user allow it."""
    allow_client(app.app, app.client_id, *scopes, user_id=app.user_id, session_id=app.browser_id)


def is_allowed(app: App) -> bool:
    with app.app.app_context():
        return find_consent(app.user_id, app.client_id) is not None


def reset_password(app: Flask, user: Caller) -> None:
    """Let a user set a password with a mailed link."""
    mailbox, client = open_mailbox(app), app.test_client()
    client.post("/api/v1/auth/password/forgot", json={"email": user.user["email"]})
    work(app)
    body = {"token": mailbox.letters[-1].token, "new_password": "another horse, another staple"}
    assert client.post("/api/v1/auth/password/reset", json=body).status_code == 200


class TestList:
    def test_it_shows_what_was_allowed_and_what_is_signed_in_to(
        self, clock: time_machine.Traveller, make_client: MakeApp, alice: Caller
    ) -> None:
        wiki = make_client()
        chat = make_client("z-chat", name="a chat", **STRANGE)
        allowed_at = now()
        allow(chat, "openid", "email")
        clock.shift(60)
        first = wiki.sign_in("openid")
        clock.shift(60)
        wiki.sign_in("openid", "groups")
        used = {"last_used_at": now() - timedelta(minutes=1)}
        change_session(wiki.app, claims_of(first["id_token"])["sid"], **used)
        assert alice.get(APPS).get_json() == {
            "items": [
                {
                    "client": {"client_id": "z-chat", "name": "a chat"},
                    "scopes": ["email", "openid"],
                    "granted_at": to_rfc3339(allowed_at),
                    "last_used_at": None,
                    "live_sessions": 0,
                },
                {
                    "client": {"client_id": "wiki", "name": "Wiki"},
                    "scopes": ["groups", "openid"],
                    "granted_at": None,
                    "last_used_at": to_rfc3339(now()),
                    "live_sessions": 2,
                },
            ]
        }

    def test_a_session_that_is_of_no_use_any_more_is_not_counted(
        self, make_client: MakeApp
    ) -> None:
        wiki = make_client()
        wiki.sign_in("openid")
        wiki.sign_in("openid", "offline_access")
        change_session(wiki.app, wiki.browser_id, idle_expires_at=now() - timedelta(seconds=1))
        with wiki.app.app_context():
            (found,) = list_apps(wiki.user_id)
        assert (found.live_sessions, found.scopes) == (1, ("offline_access", "openid"))

    def test_a_wider_consent_keeps_the_time_of_the_first(
        self, clock: time_machine.Traveller, make_client: MakeApp
    ) -> None:
        chat, first = make_client("chat", **STRANGE), now()
        allow(chat, "openid")
        clock.shift(60)
        allow(chat, "openid", "email")
        with chat.app.app_context():
            (found,) = list_apps(chat.user_id)
        assert (found.granted_at, found.scopes) == (first, ("email", "openid"))

    def test_a_deleted_client_is_gone(self, make_client: MakeApp, alice: Caller) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki)
        with wiki.app.app_context():
            delete_client("wiki", actor=OPERATOR, request=RequestInfo())
        assert alice.get(APPS).get_json() == {"items": []}


class TestWithdrawal:
    @both_databases
    def test_nothing_of_the_app_is_left(self, make_client: MakeApp, alice: Caller) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki, "openid", "offline_access")
        grants = [wiki.sign_in("openid"), wiki.sign_in("openid", "offline_access")]
        code = wiki.make_code("openid")
        assert alice.delete(f"{APPS}/wiki").status_code == 204
        assert not is_allowed(wiki)
        for tokens in grants:
            assert wiki.userinfo(tokens["access_token"]).status_code == 401
            assert error(wiki.refresh(tokens["refresh_token"])) == INVALID
        assert error(wiki.redeem(code)) == INVALID
        assert alice.get(APPS).get_json() == {"items": []}
        assert alice.delete(f"{APPS}/wiki").get_json()["code"] == "app_not_found"
        (event,) = audit_trail(wiki.app, "consent.revoked")
        assert event["details"] == {"client_id": "wiki"}
        (event,) = audit_trail(wiki.app, "session.revoked")
        assert event["details"] == {"reason": "ended_by_user", "client_id": "wiki", "count": 2}

    def test_an_app_of_the_operator_is_signed_out(
        self, make_client: MakeApp, alice: Caller
    ) -> None:
        wiki = make_client()
        tokens, code = wiki.sign_in("openid"), wiki.make_code("openid")
        assert alice.delete(f"{APPS}/wiki").status_code == 204
        assert error(wiki.refresh(tokens["refresh_token"])) == INVALID
        assert error(wiki.redeem(code)) == INVALID
        assert audit_trail(wiki.app, "consent.revoked") == []

    def test_other_apps_users_and_the_browser_stay(
        self, make_client: MakeApp, alice: Caller, bob: Caller
    ) -> None:
        wiki, chat = make_client(**STRANGE), make_client("chat", **STRANGE)
        allow(wiki)
        allow(chat)
        tokens = chat.sign_in("openid")
        change_session(wiki.app, bob.session_id, kind="browser")
        of_bob = App(wiki.app, "wiki", bob.id, bob.session_id, wiki.secret)
        allow(of_bob)
        alice.delete(f"{APPS}/wiki")
        assert is_allowed(of_bob)
        assert is_allowed(chat)
        assert chat.refresh(tokens["refresh_token"]).status_code == 200
        assert alice.get("/api/v1/users/me").status_code == 200

    def test_a_used_code_is_no_access(self, make_client: MakeApp, alice: Caller) -> None:
        wiki = make_client()
        tokens = wiki.sign_in("openid")
        assert revoke(wiki, tokens["refresh_token"]).status_code == 200
        assert alice.delete(f"{APPS}/wiki").status_code == 404

    @pytest.mark.parametrize("client_id", ["unknown", "authserve", "x" * 60, "Wiki"])
    def test_an_unknown_app_is_not_found(
        self, make_client: MakeApp, alice: Caller, client_id: str
    ) -> None:
        make_client()
        answer = alice.delete(f"{APPS}/{client_id}")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "app_not_found")


class TestReset:
    """A stranger who had the account may have allowed an app of theirs."""

    @both_databases
    def test_the_owner_is_asked_anew(self, make_client: MakeApp, alice: Caller) -> None:
        wiki, chat = make_client(**STRANGE), make_client("chat", **STRANGE)
        allow(wiki)
        allow(chat)
        reset_password(wiki.app, alice)
        assert not is_allowed(wiki)
        assert not is_allowed(chat)
        details = [event["details"] for event in audit_trail(wiki.app, "consent.revoked")]
        assert details == [{"client_id": "chat"}, {"client_id": "wiki"}]

    def test_so_after_a_reset_of_second_factors(
        self, make_client: MakeApp, alice: Caller, admin: Caller
    ) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki)
        give_totp(wiki.app, alice.id)
        assert admin.post(f"/api/v1/users/{alice.id}/mfa-reset").status_code == 202
        assert not is_allowed(wiki)

    def test_so_while_the_feature_is_off(
        self, make_client: MakeApp, make_app: Callable[..., Flask], alice: Caller
    ) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki)
        reset_password(make_app(features=()), alice)
        assert not is_allowed(wiki)

    def test_other_users_stay_asked(self, make_client: MakeApp, alice: Caller, bob: Caller) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki)
        reset_password(wiki.app, bob)
        assert is_allowed(wiki)


class TestLogoutEverywhere:
    def test_consents_stay_unless_apps_are_included(
        self, make_client: MakeApp, alice: Caller
    ) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki, "openid", "offline_access")
        wiki.sign_in("openid", "offline_access")
        alice.post("/api/v1/auth/logout-all")
        assert count_sessions(wiki.app, kind="app", revoked_at=None) == 0
        assert is_allowed(wiki)

    def test_with_apps_each_has_to_ask_again(self, make_client: MakeApp, alice: Caller) -> None:
        wiki, chat = make_client(**STRANGE), make_client("chat", **STRANGE)
        allow(wiki)
        allow(chat)
        wiki.sign_in("openid")
        alice.post("/api/v1/auth/logout-all", json={"include": ["apps"]})
        assert not is_allowed(wiki)
        assert not is_allowed(chat)
        assert count_sessions(wiki.app, revoked_at=None) == 0
        details = [event["details"] for event in audit_trail(wiki.app, "consent.revoked")]
        assert details == [{"client_id": "chat"}, {"client_id": "wiki"}]

    def test_so_while_the_feature_is_off(
        self, make_client: MakeApp, make_app: Callable[..., Flask], alice: Caller
    ) -> None:
        """The call answers that it has ended, so nothing is back with the feature."""
        wiki = make_client(**STRANGE)
        allow(wiki)
        headers = {"Authorization": f"Bearer {alice.tokens['access_token']}"}
        client, body = make_app(features=()).test_client(), {"include": ["apps"]}
        answer = client.post("/api/v1/auth/logout-all", json=body, headers=headers)
        assert answer.status_code == 204
        assert not is_allowed(wiki)
        (event,) = audit_trail(wiki.app, "consent.revoked")
        assert (event["actor_audit_id"], event["details"]) == (alice.id, {"client_id": "wiki"})


class TestSessions:
    def test_a_session_names_its_app(
        self, make_client: MakeApp, alice: Caller, runner: FlaskCliRunner
    ) -> None:
        wiki = make_client()
        wiki.sign_in("openid", "offline_access")
        items = alice.get("/api/v1/users/me/sessions").get_json()["items"]
        (found,) = [item for item in items if item["kind"] == "app"]
        assert found["client"] == {"client_id": "wiki", "name": "Wiki"}
        assert found["parent_id"] == str(wiki.browser_id)
        assert (found["scope"], found["is_offline"]) == ("openid offline_access", True)
        result = runner.invoke(args=["sessions", "list", "--user", "alice", "--json"])
        (printed,) = [row for row in map(json.loads, result.stdout.splitlines()) if row["scope"]]
        assert (printed["client_id"], printed["is_offline"]) == ("wiki", True)

    def test_the_copy_of_the_data_has_the_apps(self, make_client: MakeApp, alice: Caller) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki)
        (found,) = alice.get("/api/v1/users/me/export").get_json()["apps"]
        assert (found["client_id"], found["scopes"]) == ("wiki", ["openid"])
        assert found["granted_at"].endswith("Z")


class TestPages:
    @pytest.fixture
    def visit(self, app: Flask, alice: Caller) -> Visit:
        """Alice's browser."""
        visit = Visit(app)
        visit.sign_in()
        return visit

    def test_an_app_is_listed_and_its_access_ends(self, visit: Visit, make_client: MakeApp) -> None:
        wiki = make_client(home_uri="https://wiki.example.com", **STRANGE)
        allow(wiki, "openid", "email", "offline_access")
        shown = visit.open("/account/apps")
        # The page of consent and the mail about it name this heading.
        assert "Apps with access" in shown.text
        assert "Wiki Also while you are away allowed 20" in shown.text
        assert "See your email address" in shown.text
        end = "/account/apps/wiki/end"
        ended = visit.follow(visit.send(end, shown.form(end)))
        assert "The app has no access any more." in ended.text
        assert "No app can use your account." in ended.text
        assert not is_allowed(wiki)
        # A second press leads to the list, too.
        assert visit.send(end, shown.form(end)).location == "/account/apps"

    def test_the_list_of_sessions_has_those_of_apps(
        self, visit: Visit, make_client: MakeApp
    ) -> None:
        wiki = make_client()
        tokens = wiki.sign_in("openid")
        sid = claims_of(tokens["access_token"])["sid"]
        shown = visit.open("/account/sessions")
        assert "Wiki App last used 20" in shown.text
        end = f"/account/sessions/{sid}/end"
        visit.send(end, shown.form(end))
        assert error(wiki.refresh(tokens["refresh_token"])) == INVALID

    @pytest.mark.parametrize("is_ticked", [True, False])
    def test_signing_out_everywhere_offers_the_apps(
        self, visit: Visit, make_client: MakeApp, is_ticked: bool
    ) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki)
        path = "/account/sessions/end-all"
        shown = visit.open(path)
        (box,) = [box for box in shown.tree.iter("input") if box.get("type") == "checkbox"]
        assert (box.get("name"), "checked" in box.attrib) == ("apps", True)
        visit.send(path, {**shown.form(path), **({"apps": "1"} if is_ticked else {})})
        assert is_allowed(wiki) != is_ticked

    @pytest.mark.parametrize("answer", ["stranger", "mine"])
    def test_the_question_about_a_sign_in_offers_them(
        self, app: Flask, visit: Visit, make_client: MakeApp, answer: str
    ) -> None:
        wiki = make_client(**STRANGE)
        allow(wiki)
        client = app.test_client()
        client.environ_base["REMOTE_ADDR"] = "203.0.113.1"
        login(client, "alice")
        path = "/account/activity/answer"
        fields = visit.open("/account").form(path)
        visit.send(path, {**fields, "apps": "1", "answer": answer})
        assert is_allowed(wiki) == (answer == "mine")
