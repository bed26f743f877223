"""The requests that a client's status shows."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.clients.client_secrets import add_secret, delete_secret, list_secrets
from authserve.clients.failures import list_failures, note_dropped_scopes
from authserve.clients.kinds import ClientKind
from authserve.clients.status import ClientObstacle, find_client_status
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.oidc.authorize import authorize
from authserve.oidc.errors import AuthorizationError
from authserve.oidc.logout_deliveries import note_failed
from authserve.web.continuation import Answer
from tests.oidc.conftest import App, MakeApp
from tests.support.clients import Caller
from tests.support.oauth_clients import CALLBACK, give_client

CLIENTS = "/api/v1/clients"

AUTHORIZE = f"/oauth/authorize?response_type=code&client_id=wiki&redirect_uri={CALLBACK}"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the identity provider and its pages."""
    return make_app(features=("pages", "oidc"))


def failures_of(app: Flask) -> list[str]:
    with app.app_context():
        return [failure.reason for failure in list_failures("wiki")]


def test_refusals_at_the_token_endpoint_are_shown(app: Flask, wiki: App, admin: Caller) -> None:
    wiki.redeem("x")
    wiki.redeem("x", client_secret="x")
    headers = {"X-Correlation-ID": "seen"}
    app.test_client().post("/oauth/token", data={"grant_type": "x"}, headers=headers)
    status = admin.get(f"{CLIENTS}/wiki/status").get_json()
    reasons = {failure["reason"] for failure in status["last_failures"]}
    assert reasons == {"invalid_grant", "invalid_client"}
    assert status["can_sign_in"]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("&response_mode=fragment", "invalid_request"),
        ("&scope=openid&request=x", "request_not_supported"),
        ("&scope=phone&code_challenge_method=S256&code_challenge=" + "x" * 43, "invalid_scope"),
    ],
    ids=["response_mode", "request", "scope"],
)
def test_refusals_at_authorize_are_shown(app: Flask, wiki: App, fault: str, reason: str) -> None:
    app.test_client().get(AUTHORIZE + fault)
    assert failures_of(app) == [reason]


def test_a_silent_request_without_a_user_is_no_failure(app: Flask, wiki: App) -> None:
    challenge = "&code_challenge_method=S256&code_challenge=" + "x" * 43
    app.test_client().get(f"{AUTHORIZE}&scope=openid&prompt=none{challenge}")
    assert failures_of(app) == []


def test_a_refusal_by_the_user_is_no_failure(app: Flask, wiki: App) -> None:
    challenge = "&code_challenge_method=S256&code_challenge=" + "x" * 43
    query = f"{AUTHORIZE}&scope=openid{challenge}".partition("?")[2]
    given = {"begun": now(), "visitor": None, "origin": RequestInfo()}
    with app.app_context(), pytest.raises(AuthorizationError) as refused:
        authorize(query, answer=Answer.DENIED, **given)  # type: ignore[arg-type]
    assert refused.value.code == "access_denied"
    assert failures_of(app) == []


def test_a_refused_redirect_uri_is_shown(app: Flask, wiki: App, admin: Caller) -> None:
    other = CALLBACK.replace("callback", "other")
    app.test_client().get(AUTHORIZE.replace(CALLBACK, other))
    (refused,) = admin.get(f"{CLIENTS}/wiki/status").get_json()["refused_redirect_uris"]
    assert (refused["value"], refused["count"]) == (other, 1)
    admin.patch(f"{CLIENTS}/wiki", json={"redirect_uris": [CALLBACK, other]})
    assert admin.get(f"{CLIENTS}/wiki/status").get_json()["refused_redirect_uris"] == []
    told = app.test_cli_runner(capture="fd").invoke(args=["clients", "status", "wiki"]).stdout
    assert told == "wiki can sign users in.\n"


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({"enabled": False}, ["client_disabled"]),
        ({"scopes": ()}, ["scopes_missing"]),
        ({"allowed_roles": ("nothing",)}, ["roles_unknown"]),
        ({"allowed_roles": ("nothing", "user")}, []),
        (
            {"kind": ClientKind.MACHINE, "redirect_uris": (), "scopes": ("users:read",)},
            ["client_is_machine"],
        ),
    ],
    ids=["disabled", "scopes", "roles", "one role", "machine"],
)
def test_it_says_why_no_user_can_sign_in(
    app: Flask, admin: Caller, changes: dict[str, object], reasons: list[str]
) -> None:
    give_client(app, **changes)
    status = admin.get(f"{CLIENTS}/wiki/status").get_json()
    assert (status["can_sign_in"], status["reasons"]) == (not reasons, reasons)


def test_a_client_without_a_live_secret_cannot_sign_users_in(app: Flask, admin: Caller) -> None:
    secret = give_client(app).secrets[0].id
    admin.delete(f"{CLIENTS}/wiki/secrets/{secret}")
    assert admin.get(f"{CLIENTS}/wiki/status").get_json()["reasons"] == ["secret_missing"]


def test_dropped_scopes_are_shown_in_order_unless_the_client_has_them_now(app: Flask) -> None:
    give_client(app)
    with app.app_context():
        dropped = ("phone", "address", "openid", "email")
        note_dropped_scopes("wiki", dropped, request=RequestInfo(), now=now())
        assert find_client_status("wiki").dropped_scopes == ["address", "email", "phone"]


def test_a_secret_is_missing_from_its_end_on(clock: time_machine.Traveller, app: Flask) -> None:
    give_client(app)
    with app.app_context():
        who = {"actor": OPERATOR, "request": RequestInfo()}
        (former,) = list_secrets("wiki")
        add_secret("wiki", expires_in=timedelta(minutes=1), **who)  # type: ignore[arg-type]
        delete_secret("wiki", former.id, **who)  # type: ignore[arg-type]
        clock.shift(59)
        assert find_client_status("wiki").reasons == []
        clock.shift(1)
        assert find_client_status("wiki").reasons == [ClientObstacle.SECRET_MISSING]


def test_it_shows_the_logout_tokens_of_an_app_that_gets_some(app: Flask, admin: Caller) -> None:
    give_client(app)
    give_client(app, "told", backchannel_logout_uri="https://wiki.example.com/logout")
    with app.app_context(), transaction():
        note_failed("told", "the app answered 400", now=now())
    assert admin.get(f"{CLIENTS}/wiki/status").get_json()["backchannel"] is None
    found = admin.get(f"{CLIENTS}/told/status").get_json()["backchannel"]
    assert found["failed_at"].endswith("Z")
    assert found["delivered_at"] is None
    assert (found["pending"], found["failed"], found["fault"]) == (0, 1, "the app answered 400")
    told = app.test_cli_runner(capture="fd").invoke(args=["clients", "status", "told"]).stdout
    assert "1 logout tokens were given up" in told


def test_the_command_says_it_in_words(app: Flask, make_client: MakeApp) -> None:
    make_client(enabled=False)
    app.test_client().get(AUTHORIZE.replace(CALLBACK, "https://wiki.example.com/other"))
    result = app.test_cli_runner(capture="fd").invoke(args=["clients", "status", "wiki"])
    assert "flask clients enable wiki" in result.stdout
