"""Spent codes and tokens: in other hands they end nothing, in the right ones one session once."""

from datetime import timedelta
from functools import partial
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.oidc.logout_tokens import BACKCHANNEL_LOGOUT
from authserve.oidc.redeem import REPLAY_GRACE
from tests.oidc.conftest import CALLBACK, App, MakeApp, claims_of
from tests.oidc.test_codes import INVALID, error
from tests.oidc.test_refresh import is_alive
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases
from tests.support.messages import messages
from tests.support.rows import audit_trail

TOLD = {"backchannel_logout_uri": "https://wiki.example.com/logout"}

SECOND = timedelta(seconds=1)

GRACE = timedelta(seconds=10)
"""The default of `REFRESH_REUSE_GRACE`."""


def find_told(app: Flask) -> list[str]:
    """Return the sessions for which a logout token is owed."""
    return [row["payload"]["sid"] for row in messages(app, kind=BACKCHANNEL_LOGOUT)]


@pytest.fixture
def wiki(make_client: MakeApp) -> App:
    """An app that learns of the end of its sessions."""
    return make_client(**TOLD)


def replay_wrongly(wiki: App, other: App, code: str) -> None:
    """Present a code once more, each time with one thing wrong."""
    for fields in (
        {"code_verifier": None},
        {"code_verifier": "x" * 43},
        {"redirect_uri": f"{CALLBACK}2"},
    ):
        assert error(wiki.redeem(code, **fields)) == INVALID, fields
    assert error(wiki.redeem(code, client_secret=None)) == (401, "invalid_client")
    assert error(wiki.redeem(code, resource="https://b.example")) == (400, "invalid_target")
    assert error(other.redeem(code)) == INVALID


@pytest.mark.parametrize("age", [timedelta(0), REPLAY_GRACE, REPLAY_GRACE + SECOND], ids=str)
def test_a_spent_code_in_other_hands_ends_nothing_at_any_time(
    clock: time_machine.Traveller, wiki: App, make_client: MakeApp, age: timedelta
) -> None:
    code = wiki.make_code("openid")
    tokens = wiki.redeem(code).get_json()
    clock.shift(age)
    replay_wrongly(wiki, make_client("other", **TOLD), code)
    assert is_alive(wiki, tokens)
    assert find_told(wiki.app) == []


@both_databases
def test_late_uses_of_a_code_at_once_owe_one_logout_token(
    clock: time_machine.Traveller, wiki: App
) -> None:
    code = wiki.make_code("openid")
    tokens, other = wiki.redeem(code).get_json(), wiki.sign_in("openid")
    clock.shift(REPLAY_GRACE + SECOND)
    answers = all_at_once([partial(wiki.redeem, code)] * 8)
    assert [error(answer) for answer in answers] == [INVALID] * 8
    assert not is_alive(wiki, tokens)
    assert is_alive(wiki, other)
    assert find_told(wiki.app) == [claims_of(tokens["access_token"])["sid"]]


def spend_refresh_token(
    clock: time_machine.Traveller, wiki: App
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the first tokens of a grant, replaced longer ago than the grace, and the newest."""
    first = wiki.sign_in("openid")
    newest = wiki.refresh(first["refresh_token"]).get_json()
    clock.shift(GRACE + SECOND)
    return first, newest


def test_a_spent_refresh_token_in_other_hands_ends_nothing(
    clock: time_machine.Traveller, wiki: App, make_client: MakeApp
) -> None:
    first, newest = spend_refresh_token(clock, wiki)
    token = first["refresh_token"]
    assert error(make_client("other", **TOLD).refresh(token)) == INVALID
    assert error(wiki.refresh(token, client_secret=None)) == (401, "invalid_client")
    assert error(wiki.refresh(token, scope="openid email")) == (400, "invalid_scope")
    own = wiki.app.test_client().post("/api/v1/auth/refresh", json={"refresh_token": token})
    assert (own.status_code, own.get_json()["code"]) == (401, "invalid_token")
    assert is_alive(wiki, newest)
    assert find_told(wiki.app) == []


@both_databases
def test_spent_refresh_tokens_at_once_end_one_session_and_owe_one_logout_token(
    clock: time_machine.Traveller, wiki: App
) -> None:
    other = wiki.sign_in("openid")
    first, newest = spend_refresh_token(clock, wiki)
    answers = all_at_once([partial(wiki.refresh, first["refresh_token"])] * 8)
    assert [error(answer) for answer in answers] == [INVALID] * 8
    assert not is_alive(wiki, newest)
    assert is_alive(wiki, other)
    assert find_told(wiki.app) == [claims_of(first["access_token"])["sid"]]
    assert len(audit_trail(wiki.app, "session.reuse_detected")) == 1
