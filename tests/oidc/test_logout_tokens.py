"""Which ends of sessions owe logout tokens: the table of what ends what."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from threading import Thread
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from authserve.admin.administration import end_all_sessions, remove_user
from authserve.auth.current_session import get_live_session
from authserve.auth.logout import logout_everywhere
from authserve.auth.start_session import start_app_session
from authserve.clients.registry import change_client, delete_client, revoke_client
from authserve.core.actor import OPERATOR, VISITOR, Actor, RequestInfo, UserRef
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.core.levels import Level
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mfa.reset import request_reset
from authserve.mfa.switch import set_mfa
from authserve.oidc.apps import withdraw_app
from authserve.oidc.logout_tokens import BACKCHANNEL_LOGOUT
from authserve.oidc.redeem import REPLAY_GRACE
from authserve.sessions.policy import AppTerms, RevokeReason
from authserve.sessions.revoke import end_session, end_sessions, end_sessions_issued_before
from authserve.users.accounts import deactivate, ref_of
from authserve.users.lookup import get_user
from tests.oidc.conftest import App, MakeApp, claims_of
from tests.oidc.test_revoke import revoke
from tests.support.clients import Caller, login
from tests.support.crowd import wait_until_a_connection_waits_for_a_lock
from tests.support.factors import give_totp
from tests.support.marks import on_postgresql
from tests.support.messages import messages
from tests.support.rows import change_session, change_user, live_session_row

URI = "https://wiki.example.com/logout"

REQUEST = RequestInfo()


@dataclass
class House:
    """Alice's two browsers with their apps.

    Args:
        owed: the sessions by name, to find what is owed for them; `all of …` without a `sid`.
    """

    app: Flask
    clock: time_machine.Traveller
    apps: dict[str, App]
    user: UserRef
    here: Actor
    browsers: dict[str, str]
    owed: dict[str, str] = field(default_factory=dict)
    tokens: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, name: str, app: App, *scopes: str) -> None:
        """Sign in to an app."""
        self.tokens[name] = app.sign_in("openid", *scopes)
        self.owed[claims_of(self.tokens[name]["id_token"])["sid"]] = name

    def find_owed(self) -> list[str]:
        """Return the names of the sessions for which a token is owed."""
        payloads = [row["payload"] for row in messages(self.app, kind=BACKCHANNEL_LOGOUT)]
        assert all(payload["sub"] == str(self.user.id) for payload in payloads)
        names = [
            self.owed[payload["sid"]] if "sid" in payload else f"all of {payload['client_id']}"
            for payload in payloads
        ]
        return sorted(names)


@pytest.fixture
def house(app: Flask, clock: time_machine.Traveller, make_client: MakeApp, alice: Caller) -> House:
    wiki, chat = make_client(backchannel_logout_uri=URI), make_client("chat")
    with app.app_context():
        change_client("chat", {"backchannel_logout_uri": URI}, actor=OPERATOR, request=REQUEST)
        user = ref_of(get_user(alice.id))
    other = login(app.test_client(), "alice").get_json()
    away = claims_of(other["access_token"])["sid"]
    change_session(app, away, kind="browser", cookie_digest=b"x" * 32)
    browsers = {"here": str(alice.session_id), "away": away}
    here = Actor(user=user, session_id=alice.session_id)
    house = House(app, clock, {"wiki": wiki, "chat": chat}, user, here, browsers)
    quiet = make_client("quiet")
    house.add("wiki here", wiki)
    house.add("wiki here offline", wiki, "offline_access")
    house.add("chat here", chat)
    house.add("quiet here", quiet)
    moved = replace(wiki, browser_id=UUID(away))
    house.add("wiki away", moved)
    house.add("wiki away offline", moved, "offline_access")
    return house


def sign_out(house: House) -> None:
    end_session(
        house.user,
        house.here.current_session_id,
        RevokeReason.LOGOUT,
        actor=VISITOR,
        request=REQUEST,
    )


def end_app(house: House) -> None:
    revoke(house.apps["wiki"], house.tokens["wiki here"]["access_token"])


def reuse_refresh_token(house: House) -> None:
    wiki, first = house.apps["wiki"], house.tokens["wiki here"]["refresh_token"]
    assert wiki.refresh(first).status_code == 200
    house.clock.shift(timedelta(minutes=1))
    assert wiki.refresh(first).status_code == 400


def change_password(house: House) -> None:
    with transaction():
        action = AuditAction.USER_PASSWORD_CHANGED
        emit(action, actor=house.here, subject=house.user, request=REQUEST)


def reset_password(house: House) -> None:
    with transaction():
        emit(AuditAction.USER_PASSWORD_RESET, actor=VISITOR, subject=house.user, request=REQUEST)


def remove_factor(house: House) -> None:
    end_sessions(
        house.user,
        RevokeReason.FACTOR_REMOVED,
        actor=house.here,
        request=REQUEST,
        keep=house.here.session_id,
    )


def restore_backup(house: House) -> None:
    end_sessions_issued_before(now() + timedelta(hours=1), actor=OPERATOR, request=REQUEST)


def act(use_case: Callable[..., object], *arguments: object) -> Callable[[House], object]:
    return lambda house: use_case(
        *(house.user.id if each == "user" else each for each in arguments),
        actor=OPERATOR,
        request=REQUEST,
    )


def call_for_all(house: House, *, include: tuple[str, ...] = ()) -> None:
    logout_everywhere(include=include, actor=house.here, request=REQUEST)


def switch_mfa_on(house: House) -> None:
    give_totp(house.app, house.user.id)
    change_user(house.app, house.user.id, mfa_enabled=False)
    change_session(house.app, house.browsers["here"], aal=Level.AAL2)
    actor = get_live_session(UUID(house.browsers["here"]), now=now()).actor
    set_mfa(house.user, is_enabled=True, actor=actor, request=REQUEST)


def withdraw(house: House) -> None:
    withdraw_app(house.user, "wiki", actor=house.here, request=REQUEST)


def command(*options: str) -> Callable[[House], object]:
    """Return the end by `flask sessions revoke`."""

    def run(house: House) -> None:
        args = ["sessions", "revoke", *options, "--yes"]
        assert house.app.test_cli_runner().invoke(args=args).exit_code == 0

    return run


EVERYTHING = ["all of chat", "all of wiki"]
ROWS_AWAY = ["wiki away", "wiki away offline"]
ROWS_OF_WIKI = [*ROWS_AWAY, "wiki here", "wiki here offline"]
ALL_ROWS = ["chat here", *ROWS_OF_WIKI]

CASES: dict[str, tuple[Callable[[House], object], list[str]]] = {
    "sign-out": (sign_out, ["chat here", "wiki here"]),
    "an app's own end": (end_app, ["wiki here"]),
    "a refresh token reused": (reuse_refresh_token, ["wiki here"]),
    "signed out everywhere": (call_for_all, EVERYTHING),
    "signed out of everything": (partial(call_for_all, include=("apps",)), EVERYTHING),
    "ended by an administrator": (act(end_all_sessions, "user"), EVERYTHING),
    "password changed": (change_password, ROWS_AWAY),
    "factor removed": (remove_factor, ROWS_AWAY),
    "second factor switched on": (switch_mfa_on, ROWS_AWAY),
    "an app withdrawn": (withdraw, ROWS_OF_WIKI),
    "password reset": (reset_password, EVERYTHING),
    "factors reset": (act(request_reset, "user"), EVERYTHING),
    "deactivated": (act(deactivate, "user"), EVERYTHING),
    "deleted": (act(remove_user, "user"), EVERYTHING),
    "restored backup": (restore_backup, ALL_ROWS),
    "ended by command": (command("--user", "alice"), EVERYTHING),
    "ended by command up to a time": (command("--issued-before", "2100-01-01T00:00:00Z"), ALL_ROWS),
    "client disabled": (act(change_client, "wiki", {"enabled": False}), []),
    "client deleted": (act(delete_client, "wiki"), []),
    "client revoked": (act(revoke_client, "wiki"), []),
}


@pytest.mark.parametrize("name", CASES)
def test_the_end_of_sessions_owes_their_apps_tokens(house: House, name: str) -> None:
    cause, expected = CASES[name]
    house.clock.shift(timedelta(minutes=1))
    with house.app.app_context():
        cause(house)
    assert house.find_owed() == expected


def test_a_code_used_again_later_owes_one(house: House) -> None:
    wiki = house.apps["wiki"]
    code = wiki.make_code()
    tokens = wiki.redeem(code).get_json()
    assert wiki.redeem(code).status_code == 400
    assert house.find_owed() == []
    house.clock.shift(REPLAY_GRACE + timedelta(seconds=1))
    assert wiki.redeem(code).status_code == 400
    house.owed[claims_of(tokens["id_token"])["sid"]] = "the code's"
    assert house.find_owed() == ["the code's"]


def test_what_is_undone_owes_nothing(house: House) -> None:
    def fail() -> None:
        with house.app.app_context(), transaction():
            sign_out(house)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert house.find_owed() == []


@on_postgresql
def test_a_session_that_an_app_gets_meanwhile_ends_too(house: House) -> None:
    """Its row is not there yet when the end of all sessions begins, and waits for its browser's."""
    terms = AppTerms(
        client_id="wiki",
        parent_id=house.here.current_session_id,
        scopes=("openid", "offline_access"),
        resource=None,
        is_offline=True,
        expires_at=now() + timedelta(days=1),
        idle_expires_at=now() + timedelta(days=1),
    )

    def end_everything() -> None:
        reason = RevokeReason.LOGOUT_ALL
        with house.app.app_context():
            end_sessions(house.user, reason, actor=VISITOR, request=REQUEST)

    other = Thread(target=end_everything)
    with house.app.app_context(), transaction():
        made, _ = start_app_session(house.user, terms=terms, request=REQUEST, now=now())
        other.start()
        wait_until_a_connection_waits_for_a_lock()
    other.join()
    assert live_session_row(house.app, made)["revoke_reason"] == "logout_all"
    assert house.find_owed() == EVERYTHING
