"""The level and the time of authentication that a code gives its app."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
import time_machine
from flask import Flask
from sqlalchemy import null, update

from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.oidc.models import AuthorizationCode
from authserve.oidc.redeem import make_challenge
from tests.oidc.conftest import CALLBACK, VERIFIER, App, MakeApp, claims_of
from tests.support.browsing import Shown, Visit
from tests.support.clients import PASSWORD, Caller
from tests.support.marks import both_databases
from tests.support.rows import change_session, live_session_row

CONFIRM = "/account/confirm"

ONE_FACTOR = {"aal": Level.AAL1, "amr": ["pwd"]}

TWO_FACTORS = {"aal": Level.AAL2, "amr": ["otp", "pwd", "mfa"]}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages and the identity provider."""
    return make_app(features=("pages", "oidc"))


@pytest.fixture
def visit(app: Flask) -> Visit:
    """A browser without a sign-in."""
    return Visit(app)


def set_browser(wiki: App, **columns: Any) -> None:
    change_session(wiki.app, wiki.browser_id, **columns)


def authentication(wiki: App, tokens: dict[str, Any]) -> dict[str, Any]:
    """Return what the app's session has of it; the ID token says the same."""
    claims = claims_of(tokens["id_token"])
    row = live_session_row(wiki.app, claims["sid"])
    assert claims["auth_time"] == int(row["auth_time"].timestamp())
    assert claims["amr"] == row["amr"]
    assert claims["acr"] == Level(row["aal"]).acr
    return {name: row[name] for name in ("aal", "amr", "auth_time")}


@both_databases
def test_a_proof_after_the_authorization_raises_no_app(
    clock: time_machine.Traveller, wiki: App
) -> None:
    signed_in_at = now()
    set_browser(wiki, **ONE_FACTOR, auth_time=signed_in_at)
    clock.shift(timedelta(minutes=5))
    code = wiki.make_code("openid")
    set_browser(wiki, **TWO_FACTORS, auth_time=now())
    tokens = wiki.redeem(code).get_json()
    assert authentication(wiki, tokens) == {**ONE_FACTOR, "auth_time": signed_in_at}
    # The next authorization has seen the proof.
    tokens = wiki.sign_in("openid")
    assert authentication(wiki, tokens) == {**TWO_FACTORS, "auth_time": now()}


@both_databases
def test_an_app_is_never_above_the_browser_at_redemption(
    clock: time_machine.Traveller, wiki: App
) -> None:
    earlier = now()
    clock.shift(timedelta(minutes=5))
    high, later = {**TWO_FACTORS, "auth_time": now()}, {**ONE_FACTOR, "auth_time": now()}
    for fallen in (later, {**high, "auth_time": earlier}):
        set_browser(wiki, **high)
        code = wiki.make_code("openid")
        set_browser(wiki, **fallen)
        assert authentication(wiki, wiki.redeem(code).get_json()) == fallen


@both_databases
def test_a_code_of_the_release_before_gives_what_the_browser_has(
    clock: time_machine.Traveller, wiki: App
) -> None:
    code = wiki.make_code("openid")
    with wiki.app.app_context(), transaction() as session:
        # As that release inserts it: without the columns.
        values = {name: null() for name in ("aal", "amr", "auth_time")}
        session.execute(update(AuthorizationCode).values(values))
    clock.shift(30)
    set_browser(wiki, **TWO_FACTORS, auth_time=now())
    tokens = wiki.redeem(code).get_json()
    assert authentication(wiki, tokens) == {**TWO_FACTORS, "auth_time": now()}


def test_a_client_that_needs_more_refuses_a_code_from_before_the_step_up(
    wiki: App, make_client: MakeApp
) -> None:
    vault = make_client("vault", min_acr="aal2")
    set_browser(wiki, **ONE_FACTOR)
    code = vault.make_code("openid")
    set_browser(wiki, **TWO_FACTORS)
    answer = vault.redeem(code)
    assert (answer.status_code, answer.get_json()["error"]) == (400, "invalid_grant")
    vault.sign_in("openid")


def ask(visit: Visit) -> Shown:
    query = {
        "client_id": "wiki",
        "redirect_uri": CALLBACK,
        "response_type": "code",
        "scope": "openid",
        "code_challenge": make_challenge(VERIFIER),
        "code_challenge_method": "S256",
    }
    return visit.open(f"/oauth/authorize?{urlencode(query)}")


def code_in(shown: Shown) -> str:
    assert shown.location.startswith(CALLBACK), shown.html
    return parse_qs(urlsplit(shown.location).query)["code"][0]


def test_a_code_from_just_before_a_step_up_is_as_old_as_the_session(
    clock: time_machine.Traveller, visit: Visit, alice: Caller, wiki: App
) -> None:
    visit.sign_in()
    signed_in_at = now()
    clock.shift(timedelta(minutes=5))
    code = code_in(ask(visit))
    visit.fill(CONFIRM, password=PASSWORD)
    assert live_session_row(wiki.app, visit.session_id)["auth_time"] == now()
    tokens = wiki.redeem(code).get_json()
    assert authentication(wiki, tokens)["auth_time"] == signed_in_at


def test_a_code_by_a_former_secret_is_as_old_as_the_session(
    clock: time_machine.Traveller, visit: Visit, alice: Caller, wiki: App
) -> None:
    visit.sign_in()
    signed_in_at, stolen = now(), visit.cookie()
    clock.shift(timedelta(minutes=5))
    visit.fill(CONFIRM, password=PASSWORD)
    owners = wiki.redeem(code_in(ask(visit))).get_json()
    assert authentication(wiki, owners)["auth_time"] == now()
    visit.client.set_cookie("authserve", stolen or "")
    thiefs = wiki.redeem(code_in(ask(visit))).get_json()
    assert authentication(wiki, thiefs)["auth_time"] == signed_in_at
