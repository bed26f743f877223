"""Google, Microsoft, GitLab and GitHub by the shapes of their answers, at their own names."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
import trustme

from authserve.core.deadline import TLSContext
from authserve.core.outbound import OutboundClient
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.ask import ProviderAnswer, ask_provider, find_endpoint
from authserve.federation.code_exchange import Exchange
from authserve.federation.presets import DEFAULTS, Preset
from authserve.federation.upstream import (
    CodeRefusedError,
    ProviderUnavailableError,
    Upstream,
)
from tests.support.known_providers import KnownProvider, known_provider
from tests.support.providers import CLIENT_ID, SECRET, Answer

TENANT = "9122040d-6c67-4c5b-b112-36a304b66dad"

MakeProvider = Callable[[str], KnownProvider]


@pytest.fixture
def make_provider(authority: trustme.CA, monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeProvider]:
    """Run a provider by its name."""
    with ExitStack() as running:

        def make(name: str) -> KnownProvider:
            found = running.enter_context(known_provider(name, authority, monkeypatch))
            found.nonce = "a nonce"
            return found

        yield make


@pytest.fixture
def upstream(trusting: TLSContext) -> Upstream:
    hosts = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))
    return Upstream(OutboundClient(hosts=hosts, tls=trusting))


def ask(provider: KnownProvider, upstream: Upstream, preset: Preset) -> ProviderAnswer:
    """Exchange a code."""
    exchange = Exchange(
        client_id=CLIENT_ID,
        client_secret=SECRET,
        code="a code",
        verifier="v" * 43,
        redirect_uri=f"https://login.example.com/sign-in/with/{preset.value}/callback",
    )
    return ask_provider(
        preset,
        provider.issuer,
        exchange,
        upstream.begin(provider.issuer),
        nonce="a nonce",
        now=datetime.now(UTC),
    )


@pytest.mark.parametrize("preset", [Preset.GOOGLE, Preset.GITLAB, Preset.GITHUB])
def test_the_preset_finds_the_provider(
    make_provider: MakeProvider, upstream: Upstream, preset: Preset
) -> None:
    provider = make_provider(preset.value)
    assert DEFAULTS[preset].issuer == provider.issuer
    found = ask(provider, upstream, preset)
    assert found.person.display_name == "Alice Example"
    assert found.person.claimed.is_email_verified
    # None of them demands the parameter `iss` of RFC 9207.
    endpoint = find_endpoint(preset, provider.issuer, upstream.begin(provider.issuer))
    assert not endpoint.sends_issuer
    assert endpoint.url.startswith("https://")


@pytest.mark.parametrize(
    ("changes", "is_verified", "domain"),
    [
        ({}, True, None),
        ({"email": "alice@example.com"}, False, None),
        ({"email": "alice@example.com", "hd": "example.com"}, True, "example.com"),
        # An account of an organisation may have an address of another domain.
        ({"email": "alice@other.example", "hd": "example.com"}, True, "example.com"),
        ({"email_verified": False}, False, None),
        ({"email_verified": "true"}, False, None),
    ],
)
def test_google_knows_its_own_addresses_alone(
    make_provider: MakeProvider,
    upstream: Upstream,
    changes: dict[str, Any],
    is_verified: bool,
    domain: str | None,
) -> None:
    provider = make_provider("google")
    provider.claims |= changes
    claimed = ask(provider, upstream, Preset.GOOGLE).person.claimed
    assert claimed.email == provider.claims["email"]
    assert (claimed.is_email_verified, claimed.domain) == (is_verified, domain)


@pytest.mark.parametrize(
    ("changes", "is_verified"),
    [
        ({}, False),
        ({"email_verified": True}, False),
        ({"xms_edov": False}, False),
        ({"xms_edov": "1"}, False),
        ({"xms_edov": True}, True),
    ],
)
def test_microsofts_addresses_are_what_an_administrator_typed(
    make_provider: MakeProvider, upstream: Upstream, changes: dict[str, Any], is_verified: bool
) -> None:
    provider = make_provider("microsoft")
    provider.claims |= changes
    person = ask(provider, upstream, Preset.MICROSOFT).person
    assert person.subject == provider.claims["sub"]
    assert person.claimed.email == "alice@example.com"
    assert person.claimed.is_email_verified is is_verified


def test_microsofts_other_tenants_are_strangers(
    make_provider: MakeProvider, upstream: Upstream
) -> None:
    provider = make_provider("microsoft")
    other = "https://login.microsoftonline.com/6babcaad-604b-40ac-a9d7-9fd97c0b779f/v2.0"
    provider.claims |= {"iss": other, "tid": "6babcaad-604b-40ac-a9d7-9fd97c0b779f"}
    with pytest.raises(ProviderUnavailableError, match="not a token of this provider"):
        ask(provider, upstream, Preset.MICROSOFT)


def test_microsofts_common_metadata_is_of_no_tenant(
    make_provider: MakeProvider, upstream: Upstream
) -> None:
    provider = make_provider("microsoft")
    template = provider.shape["metadata"]["issuer"].replace(TENANT, "{tenantid}")
    common = Answer({**provider.shape["metadata"], "issuer": template})
    path = f"/{TENANT}/v2.0/.well-known/openid-configuration"
    provider.answers[path] = lambda _: common
    with pytest.raises(ProviderUnavailableError, match="names another issuer"):
        ask(provider, upstream, Preset.MICROSOFT)


def test_githubs_subject_is_its_number_and_its_address_the_primary_one(
    make_provider: MakeProvider, upstream: Upstream
) -> None:
    provider = make_provider("github")
    person = ask(provider, upstream, Preset.GITHUB).person
    assert (person.subject, person.claimed.email) == ("583231", "alice@example.com")
    emails = [{**each, "verified": False} for each in provider.shape["answers"]["/user/emails"]]
    provider.answers["/user/emails"] = lambda _: Answer(emails)
    assert ask(provider, upstream, Preset.GITHUB).person.claimed.email is None


def test_github_refuses_a_code_with_200(make_provider: MakeProvider, upstream: Upstream) -> None:
    provider = make_provider("github")
    refusal = provider.shape["refusal"]
    provider.answers["/login/oauth/access_token"] = lambda _: Answer(refusal)
    with pytest.raises(CodeRefusedError, match="bad_verification_code"):
        ask(provider, upstream, Preset.GITHUB)
    assert not provider.asked("/user")


@pytest.mark.parametrize("preset", [Preset.GOOGLE, Preset.GITHUB])
def test_a_stranger_at_the_name_of_a_provider_gets_no_code(
    make_provider: MakeProvider, preset: Preset
) -> None:
    provider = make_provider(preset.value)
    hosts = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))
    with pytest.raises(ProviderUnavailableError, match="certificate"):
        ask(provider, Upstream(OutboundClient(hosts=hosts)), preset)
    assert provider.questions == []
