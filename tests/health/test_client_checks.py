"""The checks of clients, each on both sides of its limit."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.clients.client_secrets import add_secret
from authserve.clients.kinds import ClientKind
from authserve.clients.refused_redirects import note_refused_redirect
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.findings import Finding, Level
from authserve.core.outbound_hosts import OutboundHosts
from authserve.health.client_checks import (
    EXPIRY_NOTICE,
    MIN_AGE,
    UNUSED,
    check_back_channels,
    check_client_choices,
    check_client_requests,
    check_client_scopes,
    check_client_secrets,
    check_issuer,
)
from authserve.health.doctor import examine
from authserve.settings.model import SETTINGS, Settings
from tests.oidc.conftest import App, make_client  # noqa: F401 - a fixture
from tests.support.oauth_clients import CALLBACK, give_client

OK, WARNING, FAILURE = Level.OK, Level.WARNING, Level.FAILURE


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with clients."""
    return make_app(features=("oidc",))


@pytest.fixture
def settings(app: Flask) -> Settings:
    """Its settings."""
    return SETTINGS.of(app)


def run(app: Flask, check: Callable[[Settings], Finding]) -> Finding:
    with app.app_context():
        return check(SETTINGS.get())


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"public_url": "https://id.example.com"}, OK),
        ({"public_url": "http://localhost:8000"}, WARNING),
        ({"public_url": "http://localhost:8000", "app_env": "production"}, FAILURE),
    ],
    ids=["https", "http", "http in production"],
)
def test_the_issuer_must_be_https(
    settings: Settings, changes: dict[str, Any], level: Level
) -> None:
    assert check_issuer(replace(settings, **changes)).level is level


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({}, None),
        ({"enabled": False, "require_pkce": False}, None),
        ({"kind": ClientKind.NATIVE, "redirect_uris": ("http://127.0.0.1/",)}, None),
        ({"require_pkce": False}, "without PKCE"),
        ({"redirect_uris": ("http://wiki.example.com/",)}, "http"),
    ],
    ids=["default", "disabled", "loopback", "PKCE", "http"],
)
def test_weak_choices_are_named(app: Flask, changes: dict[str, Any], word: str | None) -> None:
    give_client(app, **changes)
    found = run(app, check_client_choices)
    assert found.level is (OK if word is None else WARNING)
    assert word is None or f"wiki ({word})" in found.message


def test_a_secret_that_expires_soon_is_named(app: Flask, clock: time_machine.Traveller) -> None:
    give_client(app)
    with app.app_context():
        lifetime = EXPIRY_NOTICE + timedelta(minutes=1)
        add_secret("wiki", expires_in=lifetime, actor=OPERATOR, request=RequestInfo())
    assert run(app, check_client_secrets).level is OK
    clock.shift(timedelta(minutes=1))
    assert "expires" in run(app, check_client_secrets).message


def test_a_secret_that_idles_is_named(app: Flask, clock: time_machine.Traveller) -> None:
    secret = give_client(app).secret
    clock.shift(UNUSED - timedelta(minutes=1))
    assert run(app, check_client_secrets).level is OK
    clock.shift(timedelta(minutes=1))
    assert "unused since" in run(app, check_client_secrets).message
    with app.app_context():
        presented = ClientCredentials(client_id="wiki", secret=secret)
        assert find_authenticated_client(presented, now=now()) is not None
    assert run(app, check_client_secrets).level is OK


def test_a_permission_that_no_session_has_is_named(
    clock: time_machine.Traveller,
    app: Flask,
    make_client: Callable[..., App],  # noqa: F811 - the fixture
) -> None:
    wiki = make_client(scopes=("openid", "users:read", "shop:sell"))
    wiki.sign_in("openid", "shop:sell")
    assert run(app, check_client_scopes).level is OK
    clock.shift(MIN_AGE)
    # Alice's roles have neither, and what an app was granted is what its session has.
    assert "wiki (users:read)" in run(app, check_client_scopes).message


def test_an_app_that_cannot_work_is_named(app: Flask) -> None:
    give_client(app, "good")
    give_client(app, "off", enabled=False, scopes=())
    assert run(app, check_client_requests).level is OK
    give_client(app, scopes=())
    with app.app_context():
        note_refused_redirect("good", CALLBACK.replace("callback", "other"), now=now())
    message = run(app, check_client_requests).message
    assert "wiki (scopes_missing)" in message
    assert "good (asks for" in message


def test_a_client_that_the_settings_have_come_to_refuse_is_named(
    app: Flask, make_app: Callable[..., Flask]
) -> None:
    give_client(app, resources=("https://api.example.com",))
    later = make_app(features=("oidc",), jwt_audience="https://api.example.com")
    finding = run(later, check_client_requests)
    assert "wiki (refused by the settings: resources)" in finding.message


def test_a_back_channel_that_does_not_answer_is_named(
    make_app: Callable[..., Flask],
) -> None:
    hosts = OutboundHosts(names=frozenset({"localhost"}), networks=())
    app = make_app(features=("oidc",), outbound_hosts=hosts)
    give_client(app)
    assert run(app, check_back_channels).level is OK
    # Nothing listens on the port of discard (RFC 863).
    give_client(app, "away", backchannel_logout_uri="http://localhost:9/logout")
    assert "away (" in run(app, check_back_channels).message


def test_the_doctor_runs_them(app: Flask) -> None:
    with app.app_context():
        names = {finding.check for finding in examine()}
    assert names >= {
        "issuer",
        "client choices",
        "client secrets",
        "client scopes",
        "client requests",
        "back channels",
    }
