"""Refresh tokens of apps, and what ends a grant."""

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine

from authserve.clients.kinds import LIFETIMES, ClientKind
from authserve.clients.registry import change_client, delete_client, revoke_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.users.accounts import deactivate as deactivate_user
from tests.oidc.conftest import App, MakeApp, claims_of
from tests.oidc.test_codes import INVALID, change, error
from tests.support.clients import Caller, sign_in
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.rows import (
    audit_trail,
    change_session,
    change_user,
    live_session_row,
)

API = "/api/v1"


def is_alive(wiki: App, tokens: dict[str, Any]) -> bool:
    """Return True if a grant can be refreshed, and userinfo agrees."""
    answer = wiki.refresh(tokens["refresh_token"])
    seen = wiki.userinfo(tokens["access_token"]).status_code
    assert (answer.status_code, seen) in ((200, 200), (400, 401)), answer.get_json()
    return answer.status_code == 200


class TestRotation:
    def test_the_next_tokens_are_of_the_same_grant(
        self, clock: time_machine.Traveller, wiki: App
    ) -> None:
        tokens = wiki.sign_in("openid", "email")
        clock.shift(timedelta(hours=1))
        answer = wiki.refresh(tokens["refresh_token"]).get_json()
        before, after = claims_of(tokens["id_token"]), claims_of(answer["id_token"])
        for name in ("sub", "sid", "auth_time", "amr", "acr", "aud"):
            assert before[name] == after[name]
        assert "nonce" not in after
        access = claims_of(answer["access_token"])
        assert (access["fresh"], access["scope"]) == (False, "openid email")

    @both_databases
    def test_fifty_at_once_make_one_chain(self, wiki: App) -> None:
        token = wiki.sign_in()["refresh_token"]
        answers = all_at_once([lambda: wiki.refresh(token)] * 50)
        assert {answer.status_code for answer in answers} == {200}
        generations = {claims_of(it.get_json()["refresh_token"])["gen"] for it in answers}
        assert generations == {1}

    @both_databases
    def test_an_old_token_ends_this_grant_alone(
        self, clock: time_machine.Traveller, wiki: App
    ) -> None:
        tokens, other = wiki.sign_in(), wiki.sign_in()
        newer = wiki.refresh(tokens["refresh_token"]).get_json()
        clock.shift(11)
        assert error(wiki.refresh(tokens["refresh_token"])) == INVALID
        assert not is_alive(wiki, newer)
        assert is_alive(wiki, other)
        (event,) = audit_trail(wiki.app, "session.reuse_detected")
        assert event["details"]["reason"] == "replaced_earlier"

    def test_within_the_grace_no_token_outlives_the_grant(
        self, clock: time_machine.Traveller, wiki: App
    ) -> None:
        token = wiki.sign_in()["refresh_token"]
        newer = wiki.refresh(token).get_json()
        again = wiki.refresh(token).get_json()
        ends = [claims_of(each["refresh_token"])["exp"] for each in (newer, again)]
        assert ends == [int((now() + LIFETIMES[ClientKind.WEB].idle).timestamp())] * 2

    def test_a_client_may_have_its_own_grace(
        self, clock: time_machine.Traveller, make_client: MakeApp
    ) -> None:
        slow, strict = make_client("slow", refresh_grace=60), make_client("strict", refresh_grace=0)
        for app, is_good in ((slow, True), (strict, False)):
            token = app.sign_in()["refresh_token"]
            app.refresh(token)
            clock.shift(1)
            assert (app.refresh(token).status_code == 200) == is_good


class TestWrongCaller:
    def test_another_client_spends_nothing(self, wiki: App, make_client: MakeApp) -> None:
        token, other = wiki.sign_in()["refresh_token"], make_client("other")
        assert error(other.refresh(token)) == INVALID
        unproven = wiki.refresh(token, client_secret=None)
        assert error(unproven) == (401, "invalid_client")
        assert claims_of(wiki.refresh(token).get_json()["refresh_token"])["gen"] == 1

    def test_no_kind_of_token_passes_for_another(self, wiki: App, alice: Caller) -> None:
        tokens = wiki.sign_in("openid", "users:read")
        kinds = {
            "access": tokens["access_token"],
            "refresh": tokens["refresh_token"],
            "id": tokens["id_token"],
            "own access": alice.tokens["access_token"],
            "own refresh": alice.tokens["refresh_token"],
        }
        client = wiki.app.test_client()
        accepted = set()
        for name, token in kinds.items():
            bearer = {"Authorization": f"Bearer {token}"}
            own = client.post(f"{API}/auth/refresh", json={"refresh_token": token})
            outcomes = {
                "userinfo": wiki.userinfo(token).status_code,
                "token": wiki.refresh(token).status_code,
                "api": client.get(f"{API}/users/me", headers=bearer).status_code,
                "own refresh": own.status_code,
            }
            accepted |= {(name, call) for call, status in outcomes.items() if status == 200}
        assert accepted == {
            ("access", "userinfo"),
            ("refresh", "token"),
            ("own access", "api"),
            ("own refresh", "own refresh"),
        }


class TestScopes:
    def test_a_narrower_scope_is_of_this_access_token_alone(self, wiki: App) -> None:
        token = wiki.sign_in("openid", "email")["refresh_token"]
        narrow = wiki.refresh(token, scope="openid").get_json()
        assert narrow["scope"] == "openid"
        assert wiki.refresh(narrow["refresh_token"]).get_json()["scope"] == "openid email"

    @pytest.mark.parametrize("scope", ["openid profile", "profile", "openid  email x"])
    def test_a_wider_scope_is_refused_and_spends_nothing(self, wiki: App, scope: str) -> None:
        token = wiki.sign_in("openid", "email")["refresh_token"]
        assert error(wiki.refresh(token, scope=scope)) == (400, "invalid_scope")
        assert claims_of(wiki.refresh(token).get_json()["refresh_token"])["gen"] == 1

    def test_what_client_or_user_lose_is_gone_at_the_next_refresh(
        self, wiki: App, admin: Caller, alice: Caller
    ) -> None:
        role = {"name": "reader", "permissions": ["users:read"]}
        assert admin.post(f"{API}/roles", json=role).status_code == 201
        roles = f"{API}/users/{alice.id}/roles"
        assert admin.put(roles, json={"roles": ["user", "reader"]}).status_code == 200
        tokens = wiki.sign_in("openid", "email", "users:read")
        assert tokens["scope"] == "openid email users:read"
        admin.put(roles, json={"roles": ["user"]})
        tokens = wiki.refresh(tokens["refresh_token"]).get_json()
        assert tokens["scope"] == "openid email"
        change(wiki, scopes=("openid",))
        tokens = wiki.refresh(tokens["refresh_token"]).get_json()
        assert tokens["scope"] == "openid"
        # Never wider than the grant, but as wide again.
        change(wiki, scopes=("openid", "email", "groups"))
        assert wiki.refresh(tokens["refresh_token"]).get_json()["scope"] == "openid email"


OFFLINE = "offline_access"

Ends = Callable[[App, Caller], object]


def end_browser(wiki: App, alice: Caller) -> None:
    path = f"{API}/users/me/sessions/{alice.session_id}"
    assert persistently(lambda: alice.delete(path)).status_code == 204


def log_out_everywhere(_wiki: App, alice: Caller) -> None:
    assert alice.post(f"{API}/auth/logout-all").status_code == 204


def deactivate(wiki: App, _alice: Caller) -> None:
    change_user(wiki.app, wiki.user_id, is_active=False)


def disable(wiki: App, _alice: Caller) -> None:
    change(wiki, enabled=False)


def remove(wiki: App, _alice: Caller) -> None:
    with wiki.app.app_context():
        delete_client("wiki", actor=OPERATOR, request=RequestInfo())


def revoke(wiki: App, _alice: Caller) -> None:
    with wiki.app.app_context():
        revoke_client("wiki", actor=OPERATOR, request=RequestInfo())


def change_password(_wiki: App, alice: Caller) -> None:
    body = {"current_password": alice.password, "new_password": "another horse, another staple"}
    assert alice.put(f"{API}/users/me/password", json=body).status_code == 204


def let_browser_expire(wiki: App, _alice: Caller) -> None:
    change_session(wiki.app, wiki.browser_id, idle_expires_at=now())


def require_more(wiki: App, _alice: Caller) -> None:
    change_user(wiki.app, wiki.user_id, mfa_enabled=True)


def close_app(wiki: App, _alice: Caller) -> None:
    change(wiki, allowed_roles=("staff",))


ENDS: list[tuple[Ends, bool, bool]] = [
    # what happens, whether an online grant lives, whether an offline one does
    (end_browser, False, True),
    (let_browser_expire, False, True),
    (log_out_everywhere, False, False),
    (change_password, True, True),
    (deactivate, False, False),
    (revoke, False, False),
    (require_more, False, False),
    (close_app, False, False),
]


@pytest.mark.parametrize(
    ("happens", "online", "offline"), ENDS, ids=lambda it: getattr(it, "__name__", str(it))
)
def test_what_ends_a_grant(
    wiki: App, alice: Caller, happens: Ends, online: bool, offline: bool
) -> None:
    grants = [wiki.sign_in("openid"), wiki.sign_in("openid", OFFLINE)]
    assert all(is_alive(wiki, grant) for grant in grants)
    happens(wiki, alice)
    assert [is_alive(wiki, grant) for grant in grants] == [online, offline]


@pytest.mark.parametrize("happens", [end_browser, let_browser_expire])
def test_a_client_that_lost_the_scope_is_not_offline_any_more(
    wiki: App, alice: Caller, happens: Ends
) -> None:
    grant = wiki.sign_in("openid", OFFLINE)
    change(wiki, scopes=("openid",))
    assert is_alive(wiki, grant)
    happens(wiki, alice)
    assert not is_alive(wiki, grant)


@pytest.mark.parametrize("happens", [disable, remove])
def test_a_client_that_is_off_is_refused_at_once(wiki: App, alice: Caller, happens: Ends) -> None:
    tokens = wiki.sign_in("openid", OFFLINE)
    happens(wiki, alice)
    assert error(wiki.refresh(tokens["refresh_token"])) == (401, "invalid_client")
    assert wiki.userinfo(tokens["access_token"]).status_code == 401


def test_a_new_password_elsewhere_ends_the_apps_of_other_browsers(wiki: App, alice: Caller) -> None:
    grants = [wiki.sign_in("openid"), wiki.sign_in("openid", OFFLINE)]
    elsewhere = sign_in(wiki.app.test_client(), "alice", user=alice.user)
    change_password(wiki, elsewhere)
    assert not any(is_alive(wiki, grant) for grant in grants)


def test_the_end_of_a_browsers_session_is_told_with_those_below(wiki: App, alice: Caller) -> None:
    for _ in range(2):
        wiki.sign_in("openid")
    end_browser(wiki, alice)
    reasons = [event["details"] for event in audit_trail(wiki.app, "session.revoked")]
    assert reasons == [
        {"reason": "ended_by_user", "parent_id": str(alice.session_id), "count": 2},
        {"reason": "ended_by_user", "session_id": str(alice.session_id)},
    ]


@both_databases
def test_no_grant_outlives_a_sign_out_that_races_its_code(wiki: App, alice: Caller) -> None:
    for _ in range(10):
        change_session(wiki.app, alice.session_id, revoked_at=None)
        redeem = partial(wiki.redeem, wiki.make_code("openid"))
        redeemed, _ = all_at_once([redeem, partial(end_browser, wiki, alice)])
        if redeemed.status_code == 200:
            assert not is_alive(wiki, redeemed.get_json())


@both_databases
def test_no_grant_outlives_a_deactivation_that_races_its_code(wiki: App, alice: Caller) -> None:
    def switch_off() -> None:
        with wiki.app.app_context():
            deactivate_user(alice.id, actor=OPERATOR, request=RequestInfo())

    for _ in range(10):
        change_user(wiki.app, alice.id, is_active=True)
        change_session(wiki.app, alice.session_id, revoked_at=None)
        redeem = partial(wiki.redeem, wiki.make_code("openid", OFFLINE))
        redeemed, _ = all_at_once([redeem, switch_off])
        change_user(wiki.app, alice.id, is_active=True)
        if redeemed.status_code == 200:
            assert not is_alive(wiki, redeemed.get_json())


class TestLifetimes:
    def test_an_app_in_use_keeps_the_browsers_session_alive(
        self, clock: time_machine.Traveller, wiki: App, alice: Caller
    ) -> None:
        change_session(wiki.app, alice.session_id, idle_expires_at=now() + timedelta(hours=12))
        tokens = wiki.sign_in("openid")
        clock.shift(timedelta(hours=11))
        tokens = wiki.refresh(tokens["refresh_token"]).get_json()
        clock.shift(timedelta(hours=11))
        assert is_alive(wiki, wiki.refresh(tokens["refresh_token"]).get_json())

    def test_an_offline_app_does_not(
        self, clock: time_machine.Traveller, wiki: App, alice: Caller
    ) -> None:
        tokens = wiki.sign_in("openid", OFFLINE)
        before = live_session_row(wiki.app, alice.session_id)
        clock.shift(timedelta(hours=11))
        wiki.refresh(tokens["refresh_token"])
        assert live_session_row(wiki.app, alice.session_id) == before

    def test_idle_and_absolute_limits_are_the_clients(
        self, clock: time_machine.Traveller, make_client: MakeApp
    ) -> None:
        app = make_client(refresh_idle_ttl=3_600, refresh_ttl=5_400)
        tokens = app.sign_in("openid", OFFLINE)
        clock.shift(3_599)
        newer = app.refresh(tokens["refresh_token"]).get_json()
        clock.shift(1_801)
        assert error(app.refresh(newer["refresh_token"])) == INVALID
        row = live_session_row(app.app, claims_of(tokens["access_token"])["sid"])
        assert row["revoked_at"] is None

    def test_an_access_token_never_outlives_its_grant(
        self, clock: time_machine.Traveller, make_client: MakeApp
    ) -> None:
        app = make_client(refresh_ttl=60, access_token_ttl=3_600)
        tokens = app.sign_in()
        assert tokens["expires_in"] == 60
        clock.shift(91)
        assert app.userinfo(tokens["access_token"]).status_code == 401


def test_a_changed_client_is_found_at_each_call(wiki: App) -> None:
    tokens = wiki.sign_in()
    with wiki.app.app_context():
        change_client("wiki", {"access_token_ttl": 60}, actor=OPERATOR, request=RequestInfo())
    assert wiki.refresh(tokens["refresh_token"]).get_json()["expires_in"] == 60
