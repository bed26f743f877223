"""Each event that ends sessions, with all that ends by it; everything else stays.

`test_logout_tokens.py` has what each app is told.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from uuid import UUID

import pytest
from flask import Flask

from authserve.clients.registry import delete_client, revoke_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.crypto import random_bytes
from authserve.federation.end_sessions import end_sessions_by_provider
from tests.oidc.conftest import App, MakeApp, claims_of
from tests.oidc.test_apps import APPS, STRANGE, allow
from tests.oidc.test_codes import INVALID, error
from tests.support.api_keys import give_api_key
from tests.support.clients import Caller, sign_in
from tests.support.crowd import all_at_once, persistently
from tests.support.factors import give_totp, raise_caller
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.rows import change_session, change_user, session_row

API = "/api/v1"

NEW_PASSWORD = "another horse, another staple"

OFFLINE = "offline_access"

KEY, THIS, OTHER = "API key", "this browser", "other browser"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the identity provider and API keys."""
    return make_app(features=("oidc", "api-keys"))


def of_apps(
    *clients: str, under: tuple[str, ...] = (THIS, OTHER), offline: tuple[bool, ...] = (False, True)
) -> set[str]:
    """Return the names of sessions of apps; by default of all of these clients."""
    chosen = product(clients or ("wiki", "chat"), under, offline)
    return {f"{client} in {browser}{' offline' * is_off}" for client, browser, is_off in chosen}


@dataclass
class World:
    """Alice with two browsers, two apps that have two sessions in each, and an API key.

    She signed in to the other browser by a provider.

    Args:
        alice: in this browser.
        tokens: of the apps' sessions, by their names.
        rows: the ids of all sessions, by their names.
        key: the text of the API key.
    """

    alice: Caller
    admin: Caller
    wiki: App
    tokens: dict[str, dict[str, str]]
    rows: dict[str, UUID]
    key: str

    @property
    def app(self) -> Flask:
        """The application."""
        return self.wiki.app

    @property
    def path(self) -> str:
        """Alice's account, as an administrator sees it."""
        return f"{API}/users/{self.alice.id}"

    def find_ended(self) -> set[str]:
        """Return the names of the sessions that have ended or are gone, and of a refused key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        answer = self.app.test_client().get(f"{API}/users/me", headers=headers)
        ended = {name for name, row_id in self.rows.items() if not self._is_live(row_id)}
        return ended if answer.status_code == 200 else {*ended, KEY}

    def _is_live(self, row_id: UUID) -> bool:
        row = session_row(self.app, row_id)
        return row is not None and row["revoked_at"] is None


@pytest.fixture
def world(app: Flask, make_client: MakeApp, alice: Caller, admin: Caller) -> World:
    """Everything lives."""
    elsewhere = sign_in(app.test_client(), "alice", user=alice.user)
    of_browser = {"kind": "browser", "cookie_digest": random_bytes(32)}
    change_session(app, elsewhere.session_id, **of_browser, provider="work")
    browsers = {THIS: alice.session_id, OTHER: elsewhere.session_id}
    apps = {name: make_client(name, **STRANGE) for name in ("wiki", "chat")}
    tokens = {}
    for name, client in apps.items():
        allow(client, "openid", OFFLINE)
        for browser, browser_id in browsers.items():
            client.browser_id = browser_id
            tokens[f"{name} in {browser}"] = client.sign_in("openid")
            tokens[f"{name} in {browser} offline"] = client.sign_in("openid", OFFLINE)
    ids = {name: UUID(claims_of(it["access_token"])["sid"]) for name, it in tokens.items()}
    _, key = give_api_key(app, alice.id)
    found = World(alice, admin, apps["wiki"], tokens, {**browsers, **ids}, key)
    assert found.find_ended() == set()
    return found


def sign_out(world: World) -> None:
    world.alice.post(f"{API}/auth/logout")


def end_browser(world: World) -> None:
    world.alice.delete(f"{API}/users/me/sessions/{world.alice.session_id}")


ONE = f"wiki in {THIS} offline"


def end_row(world: World) -> None:
    world.alice.delete(f"{API}/users/me/sessions/{world.rows[ONE]}")


def revoke_token(world: World) -> None:
    fields = {"client_id": "wiki", "client_secret": world.wiki.secret or ""}
    token = world.tokens[ONE]["refresh_token"]
    world.app.test_client().post("/oauth/revoke", data={**fields, "token": token})


def reuse_token(world: World) -> None:
    token = world.tokens[ONE]["refresh_token"]
    for _ in range(2):
        token = world.wiki.refresh(token).get_json()["refresh_token"]
    world.wiki.refresh(world.tokens[ONE]["refresh_token"])


def withdraw(world: World) -> None:
    world.alice.delete(f"{APPS}/wiki")


def log_out_everywhere(world: World) -> None:
    world.alice.post(f"{API}/auth/logout-all")


def log_out_of_everything(world: World) -> None:
    world.alice.post(f"{API}/auth/logout-all", json={"include": ["apps", "api-keys"]})


def end_by_admin(world: World) -> None:
    world.admin.delete(f"{world.path}/sessions")


def change_password(world: World) -> None:
    body = {"current_password": world.alice.password, "new_password": NEW_PASSWORD}
    world.alice.put(f"{API}/users/me/password", json=body)


def give_factor(world: World, *, mfa_enabled: bool) -> None:
    give_totp(world.app, world.alice.id)
    change_user(world.app, world.alice.id, mfa_enabled=mfa_enabled)
    raise_caller(world.app, world.alice)


def switch_mfa(world: World, *, to: bool) -> None:
    give_factor(world, mfa_enabled=not to)
    world.alice.put(f"{API}/users/me/mfa", json={"enabled": to})
    # Otherwise the level of the key's maker would hide that it stays.
    change_user(world.app, world.alice.id, mfa_enabled=False)


def remove_factor(world: World) -> None:
    give_factor(world, mfa_enabled=True)
    world.alice.delete(f"{API}/users/me/mfa/totp")


def reset_mfa(world: World) -> None:
    give_factor(world, mfa_enabled=True)
    world.admin.post(f"{world.path}/mfa-reset")


def reset_password(world: World) -> None:
    mailbox = open_mailbox(world.app)
    client = world.app.test_client()
    client.post(f"{API}/auth/password/forgot", json={"email": world.alice.user["email"]})
    work(world.app)
    token = mailbox.letters[-1].token
    client.post(f"{API}/auth/password/reset", json={"token": token, "new_password": NEW_PASSWORD})


def deactivate(world: World) -> None:
    world.admin.patch(world.path, json={"is_active": False})


def delete_account(world: World) -> None:
    world.admin.delete(world.path)


def delete_app(world: World) -> None:
    with world.app.app_context():
        delete_client("wiki", actor=OPERATOR, request=RequestInfo())


def disable_app(world: World) -> None:
    world.admin.patch(f"{API}/clients/wiki", json={"enabled": False})


def end_provider(world: World) -> None:
    with world.app.app_context():
        end_sessions_by_provider("work", actor=OPERATOR, request=RequestInfo())


@dataclass(frozen=True)
class Ending:
    """An event, and the names of what ends by it."""

    cause: Callable[[World], None]
    ends: set[str]


SESSIONS = {THIS, OTHER, *of_apps()}
SIGNED_OUT = {THIS, *of_apps(under=(THIS,), offline=(False,))}
OTHERS = {OTHER, *of_apps(under=(OTHER,))}

TABLE = {
    "sign-out": Ending(sign_out, SIGNED_OUT),
    "a browser's session ended": Ending(end_browser, SIGNED_OUT),
    "an app's session ended": Ending(end_row, {ONE}),
    "revoked by the app": Ending(revoke_token, {ONE}),
    "an app withdrawn": Ending(withdraw, of_apps("wiki")),
    "logout-all": Ending(log_out_everywhere, SESSIONS),
    "logout-all with everything": Ending(log_out_of_everything, {*SESSIONS, KEY}),
    "ended by an administrator": Ending(end_by_admin, SESSIONS),
    "a new password": Ending(change_password, OTHERS),
    "second factor on": Ending(partial(switch_mfa, to=True), OTHERS),
    "second factor off": Ending(partial(switch_mfa, to=False), OTHERS),
    "a factor removed": Ending(remove_factor, OTHERS),
    "second factor reset": Ending(reset_mfa, {*SESSIONS, KEY}),
    "password reset": Ending(reset_password, {*SESSIONS, KEY}),
    "deactivation": Ending(deactivate, {*SESSIONS, KEY}),
    "deletion": Ending(delete_account, {*SESSIONS, KEY}),
    "a provider's sessions ended": Ending(end_provider, OTHERS),
    "a client deleted": Ending(delete_app, of_apps("wiki")),
    # It is refused at once; `test_refresh.py` has that, the loss of a role, and limits.
    "a client disabled": Ending(disable_app, set()),
}


@pytest.mark.parametrize("name", TABLE)
def test_an_event_ends_what_the_table_says(world: World, name: str) -> None:
    TABLE[name].cause(world)
    assert world.find_ended() == TABLE[name].ends


def test_a_token_used_twice_ends_its_session(world: World) -> None:
    with_grace = {"refresh_grace": 0}
    world.admin.patch(f"{API}/clients/wiki", json=with_grace)
    reuse_token(world)
    assert world.find_ended() == {ONE}


def is_usable(client: App, tokens: dict[str, str]) -> bool:
    """Return True if an app can do anything with its tokens."""
    is_good = client.userinfo(tokens["access_token"]).status_code == 200
    return is_good or client.refresh(tokens["refresh_token"]).status_code == 200


def enable_mfa(alice: Caller) -> None:
    answer = persistently(lambda: alice.put(f"{API}/users/me/mfa", json={"enabled": True}))
    assert answer.status_code == 200


def end_all(alice: Caller) -> None:
    assert persistently(lambda: alice.post(f"{API}/auth/logout-all")).status_code == 204


def revoke_app(alice: Caller) -> None:
    def revoke() -> None:
        with alice.client.application.app_context():
            revoke_client("wiki", actor=OPERATOR, request=RequestInfo())

    persistently(revoke)


def end_app(alice: Caller) -> None:
    assert persistently(lambda: alice.delete(f"{APPS}/wiki")).status_code in (204, 404)


ROUNDS = 8
"""Rounds of each race (chosen: a withdrawal that leaves unused codes shows in the first ones)."""


@both_databases
@pytest.mark.parametrize("is_first_party", [True, False], ids=["operators", "strangers"])
@pytest.mark.parametrize("end", [end_app, end_all, revoke_app])
def test_no_grant_outlives_an_end_that_races_its_code(
    make_client: MakeApp, alice: Caller, end: Callable[[Caller], None], is_first_party: bool
) -> None:
    wiki = make_client(first_party=is_first_party)
    for _ in range(ROUNDS):
        change_session(wiki.app, alice.session_id, revoked_at=None)
        allow(wiki, "openid", OFFLINE)
        redeem = partial(wiki.redeem, wiki.make_code("openid", OFFLINE))
        redeemed, _ = all_at_once([redeem, partial(end, alice)])
        if redeemed.status_code == 200:
            assert not is_usable(wiki, redeemed.get_json())
        else:
            assert error(redeemed) == INVALID


@both_databases
def test_no_grant_of_one_factor_outlives_a_second_one_that_races_its_code(
    make_client: MakeApp, alice: Caller
) -> None:
    wiki = make_client()
    other = sign_in(wiki.app.test_client(), "alice", user=alice.user)
    give_totp(wiki.app, alice.id)
    for _ in range(ROUNDS):
        change_user(wiki.app, alice.id, mfa_enabled=False)
        change_session(wiki.app, alice.session_id, revoked_at=None)
        change_session(wiki.app, other.session_id, revoked_at=None)
        raise_caller(wiki.app, other)
        redeem = partial(wiki.redeem, wiki.make_code("openid", OFFLINE))
        redeemed, _ = all_at_once([redeem, partial(enable_mfa, other)])
        if redeemed.status_code == 200:
            assert not is_usable(wiki, redeemed.get_json())
        else:
            assert error(redeemed) == INVALID
