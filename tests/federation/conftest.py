"""Fixtures: a provider, and an application whose people sign in by it."""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from authserve.federation import upstream
from tests.support.browsing import Visit
from tests.support.crowd import DEADLINE_SECS
from tests.support.provider_sign_in import LOOPBACK, register_server
from tests.support.providers import ProviderServer, provider_server

MakeSite = Callable[..., Flask]


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Applications wait for long for the providers of tests; the machine may be busy."""
    monkeypatch.setattr(upstream, "TOTAL_SECS", DEADLINE_SECS)


@pytest.fixture
def server() -> Iterator[ProviderServer]:
    """A provider."""
    with provider_server() as running:
        yield running


@pytest.fixture
def make_site(make_app: Callable[..., Flask], server: ProviderServer) -> MakeSite:
    """Make an application by whose provider people sign in."""

    def make(**changes: object) -> Flask:
        app = make_app(features=("pages", "federation"), outbound_hosts=LOOPBACK, **changes)
        register_server(app, server)
        return app

    return make


@pytest.fixture
def site(make_site: MakeSite) -> Flask:
    """An application by whose provider people sign in."""
    return make_site()


@pytest.fixture
def visit(site: Flask) -> Visit:
    """A browser without a sign-in."""
    return Visit(site)
