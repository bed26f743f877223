"""`oidc-provider-mock`: the answers of a provider that others wrote."""

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from urllib.parse import urlencode

import pytest

from authserve.core.outbound import OutboundClient
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.ask import Answered, ask_provider, find_endpoint
from authserve.federation.presets import Preset
from authserve.federation.upstream import CodeRefusedError, Exchange, Upstream
from tests.support.provider_mock import SUBJECT, authorize, mock_provider

CALLBACK = "https://login.example.com/sign-in/with/oidc/callback"

# It calls deprecated parts of Authlib.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def issuer() -> Iterator[str]:
    with mock_provider() as running:
        yield running


@pytest.fixture
def upstream() -> Upstream:
    networks = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    hosts = OutboundHosts(names=frozenset({"localhost"}), networks=networks)
    return Upstream(OutboundClient(hosts=hosts))


def get_code(upstream: Upstream, issuer: str, nonce: str) -> str:
    """Sign the person in there."""
    endpoint = find_endpoint(Preset.OIDC, issuer, upstream.begin(issuer))
    question = {
        "response_type": "code",
        "client_id": "authserve",
        "redirect_uri": CALLBACK,
        "scope": "openid email profile",
        "state": "a state",
        "nonce": nonce,
    }
    answer = authorize(f"{endpoint.url}?{urlencode(question)}")
    assert answer["state"] == "a state"
    return answer["code"]


def ask(upstream: Upstream, issuer: str, code: str, nonce: str) -> Answered:
    """Exchange a code."""
    exchange = Exchange(
        client_id="authserve",
        client_secret="a secret",
        code=code,
        verifier="v" * 43,
        redirect_uri=CALLBACK,
    )
    moment = datetime.now(UTC)
    conversation = upstream.begin(issuer)
    return ask_provider(Preset.OIDC, issuer, exchange, conversation, nonce=nonce, now=moment)


def test_it_describes_a_person_who_comes_back(issuer: str, upstream: Upstream) -> None:
    code = get_code(upstream, issuer, "a nonce")
    person = ask(upstream, issuer, code, "a nonce").person
    assert (person.subject, person.display_name) == (SUBJECT, "Alice")
    assert person.claimed.email == "alice@example.com"
    assert person.claimed.is_email_verified
    with pytest.raises(CodeRefusedError, match="invalid_grant"):
        ask(upstream, issuer, code, "a nonce")
