"""People sign in by Google, Microsoft, GitLab, GitHub and `oidc-provider-mock` on the pages."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from ipaddress import ip_network

import pytest
import trustme
from flask import Flask

from authserve.core.deadline import TLSContext
from authserve.core.outbound import OutboundClient
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.policy import ProviderRules
from authserve.federation.presets import DEFAULTS, Preset
from authserve.federation.upstream import UPSTREAM, Upstream
from tests.support.browsing import Visit
from tests.support.known_providers import KnownProvider, known_provider
from tests.support.provider_mock import authorize, mock_provider
from tests.support.provider_sign_in import LOOPBACK, code_of, register_server, set_out
from tests.support.providers import Answer
from tests.support.rows import audit_trail

TRUSTING = ProviderRules(trusts_email=True)

MakeProvider = Callable[[Preset], KnownProvider]


@pytest.fixture
def own(make_app: Callable[..., Flask], trusting: TLSContext) -> Flask:
    """An application that trusts the certificates of tests."""
    app = make_app(features=("pages", "federation"), outbound_hosts=LOOPBACK)
    UPSTREAM.fill(app, Upstream(OutboundClient(hosts=LOOPBACK, tls=trusting)))
    return app


@pytest.fixture
def make_provider(
    own: Flask, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MakeProvider]:
    """Run a provider and register it."""
    with ExitStack() as running:

        def make(preset: Preset) -> KnownProvider:
            server = running.enter_context(known_provider(preset.value, authority, monkeypatch))
            scopes = DEFAULTS[preset].scopes
            register_server(own, server, preset.value, preset=preset, scopes=scopes, rules=TRUSTING)
            return server

        yield make


def sign_in(app: Flask, server: KnownProvider, preset: Preset, visit: Visit | None = None) -> Visit:
    """Sign in by a provider that names no issuer in its answers."""
    visit = visit or Visit(app)
    shown = set_out(visit, server, preset.value).come_back(iss=None)
    assert (shown.status, shown.location) == (303, "/account"), shown.html
    return visit


@pytest.mark.parametrize("preset", [it for it in Preset if it is not Preset.OIDC])
def test_it_opens_an_account_and_finds_it_again(
    own: Flask, make_provider: MakeProvider, preset: Preset
) -> None:
    server = make_provider(preset)
    first = sign_in(own, server, preset)
    page = first.open("/account")
    assert "Alice Example" in page.text
    sign_in(own, server, preset)
    registered = audit_trail(own, "user.registered")
    assert [event["details"]["provider"] for event in registered] == [preset.value]
    assert len(audit_trail(own, "session.started")) == 2


def test_an_issuer_that_github_names_is_none(own: Flask, make_provider: MakeProvider) -> None:
    server = make_provider(Preset.GITHUB)
    shown = set_out(Visit(own), server, "github").come_back(iss="https://github.com/login/oauth")
    assert (shown.status, shown.location) == (303, "/account")


def test_githubs_login_can_change_hands_and_its_number_not(
    own: Flask, make_provider: MakeProvider
) -> None:
    server = make_provider(Preset.GITHUB)
    sign_in(own, server, Preset.GITHUB)
    # Another person takes the login that Alice gave up, and shows her address in public.
    user = {**server.shape["answers"]["/user"], "id": 666, "email": "alice@example.com"}
    others = [{"email": "mallory@example.com", "primary": True, "verified": True}]
    visit = Visit(own)
    server.answers |= {"/user": lambda _: Answer(user), "/user/emails": lambda _: Answer(others)}
    sign_in(own, server, Preset.GITHUB, visit)
    assert "mallory@example.com" in visit.open("/account").text
    assert len(audit_trail(own, "user.registered")) == 2


def test_another_tenant_of_microsoft_opens_nothing(own: Flask, make_provider: MakeProvider) -> None:
    server = make_provider(Preset.MICROSOFT)
    sign_in(own, server, Preset.MICROSOFT)
    foreign = "6babcaad-604b-40ac-a9d7-9fd97c0b779f"
    server.claims |= {"iss": f"https://login.microsoftonline.com/{foreign}/v2.0", "tid": foreign}
    visit = Visit(own)
    shown = set_out(visit, server, "microsoft").come_back(iss=None)
    assert (shown.status, code_of(shown)) == (503, "provider_unavailable")
    assert visit.cookie() is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_oidc_provider_mock_signs_a_person_in(make_app: Callable[..., Flask]) -> None:
    names, networks = frozenset({"localhost"}), (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    hosts = OutboundHosts(names=names, networks=networks)
    app = make_app(features=("pages", "federation"), outbound_hosts=hosts)
    with mock_provider() as server:
        register_server(app, server, rules=TRUSTING)
        for _ in range(2):
            visit = Visit(app)
            journey = set_out(visit, server)
            shown = journey.open_callback(authorize(journey.address))
            assert (shown.status, shown.location) == (303, "/account"), shown.html
            assert "alice@example.com" in visit.open("/account").text
    assert len(audit_trail(app, "user.registered")) == 1
