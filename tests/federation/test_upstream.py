"""Calls to providers: what is asked, what is remembered, and which answers are none.

`tests/core/test_outbound.py` covers addresses, redirects and limits of a single call.
"""

from collections.abc import Iterator
from ipaddress import ip_network
from typing import Any

import pytest

from authserve.core.outbound import OutboundClient
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation import upstream as module
from authserve.federation.code_exchange import Exchange
from authserve.federation.upstream import (
    BREAKER_FAILURES,
    CodeRefusedError,
    ProviderUnavailableError,
    Upstream,
)
from tests.support.providers import CLIENT_ID, SECRET, Answer, ProviderServer, provider_server

DISCOVERY = "/.well-known/openid-configuration"

CODE = Exchange(
    client_id=CLIENT_ID,
    client_secret=SECRET,
    code="a code",
    verifier="v" * 43,
    redirect_uri="https://login.example.com/sign-in/with/oidc/callback",
)


class Clock:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with provider_server() as running:
        yield running


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def upstream(clock: Clock) -> Upstream:
    hosts = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))
    return Upstream(OutboundClient(hosts=hosts), clock=clock)


def test_metadata_and_keys_are_asked_for_once_an_hour(
    provider: ProviderServer, upstream: Upstream, clock: Clock
) -> None:
    for moment in (0, 3_599, 3_600):
        clock.now = 1_000.0 + moment
        conversation = upstream.begin(provider.issuer)
        found = conversation.discover()
        assert found.token_endpoint == f"{provider.issuer}/token"
        assert found.sends_issuer
        assert found.takes_basic
        (key,) = conversation.find_keys(found.jwks_uri)
        assert key.kid == "provider-1"
    assert len(provider.asked(DISCOVERY)) == len(provider.asked("/keys")) == 2


def test_keys_are_asked_for_once_a_minute_if_one_is_unknown(
    provider: ProviderServer, upstream: Upstream, clock: Clock
) -> None:
    url = f"{provider.issuer}/keys"
    for moment, count in ((0, 1), (59, 1), (60, 2), (119, 2), (120, 3)):
        clock.now = 1_000.0 + moment
        upstream.begin(provider.issuer).find_keys(url, is_key_unknown=True)
        assert len(provider.asked("/keys")) == count


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://id.example.org"},
        {"issuer": None},
        {"authorization_endpoint": None},
        {"token_endpoint": "/token"},
        {"token_endpoint": "https://user@id.example.org/token"},
        {"token_endpoint": "https://id.example.org:99999/token"},
        {"token_endpoint": "https://id.example.org:0/token"},
        {"token_endpoint": "https://id.example.org/token#fragment"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": ["https://id.example.org/keys"]},
        {"jwks_uri": "https://id.example.org/a key"},
        {"authorization_endpoint": "https://id.example.org/authorize\x7f"},
        {"userinfo_endpoint": "javascript:alert(1)"},
    ],
)
def test_a_discovery_document_with_a_fault_is_refused(
    provider: ProviderServer, upstream: Upstream, change: dict[str, Any]
) -> None:
    provider.answers[DISCOVERY] = lambda _: Answer(provider.metadata(**change))
    with pytest.raises(ProviderUnavailableError, match="discovery document"):
        upstream.begin(provider.issuer).discover()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(b""),
        Answer(b"<html>"),
        Answer(b"\xff\xfe"),
        Answer(b"[" * 100_000),
        Answer(b"[]"),
        Answer(b'"text"'),
        Answer(b" " * (256 * 1024 + 1)),
        Answer({}, status=302, headers={"Location": "https://id.example.org/"}),
        Answer({}, status=500),
    ],
    ids=["empty", "html", "bytes", "deep", "list", "text", "huge", "redirect", "500"],
)
def test_an_answer_that_is_none_is_told_to_the_operator(
    provider: ProviderServer, upstream: Upstream, answer: Answer
) -> None:
    for path in (DISCOVERY, "/token"):
        provider.answers[path] = lambda _: answer
    with pytest.raises(ProviderUnavailableError):
        upstream.begin(provider.issuer).discover()
    with pytest.raises(ProviderUnavailableError):
        upstream.begin(provider.issuer).exchange(f"{provider.issuer}/token", CODE, takes_basic=True)


@pytest.mark.parametrize("takes_basic", [True, False])
def test_a_code_is_exchanged_with_the_verifier_and_the_secret(
    provider: ProviderServer, upstream: Upstream, takes_basic: bool
) -> None:
    provider.nonce = "n"
    answer = upstream.begin(provider.issuer).exchange(
        f"{provider.issuer}/token", CODE, takes_basic=takes_basic
    )
    assert answer["access_token"] == "at"
    (question,) = provider.asked("/token")
    assert question.fields["code_verifier"] == CODE.verifier
    assert question.fields["redirect_uri"] == CODE.redirect_uri
    assert ("Authorization" in question.headers) is takes_basic
    # A secret travels in one place alone (RFC 6749 §2.3).
    assert ("client_secret" in question.fields) is not takes_basic


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer({"error": "invalid_grant"}, status=400), "invalid_grant"),
        (Answer({"error": "invalid_client"}, status=401), "invalid_client"),
        # GitHub refuses with 200.
        (Answer({"error": "bad_verification_code"}), "bad_verification_code"),
        # What a stranger's server invents is not for the log.
        (Answer({"error": "ha\nha"}, status=400), "another error"),
        (Answer({"error": ["invalid_grant"]}, status=400), "another error"),
        (Answer({}, status=400), "another error"),
    ],
)
def test_a_refused_code_is_not_an_outage(
    provider: ProviderServer, upstream: Upstream, answer: Answer, reason: str
) -> None:
    provider.answers["/token"] = lambda _: answer
    for _ in range(BREAKER_FAILURES + 1):
        with pytest.raises(CodeRefusedError, match=reason):
            upstream.begin(provider.issuer).exchange(
                f"{provider.issuer}/token", CODE, takes_basic=True
            )
    assert upstream.begin(provider.issuer).discover()


@pytest.mark.parametrize("status", [302, 403, 404, 429, 500])
def test_what_a_visitor_sends_opens_no_breaker(
    provider: ProviderServer, upstream: Upstream, status: int
) -> None:
    """A visitor makes up a code, or takes a scope out of the request."""
    for path in ("/token", "/userinfo"):
        provider.answers[path] = lambda _: Answer({}, status=status)
    for _ in range(BREAKER_FAILURES):
        conversation = upstream.begin(provider.issuer)
        with pytest.raises(ProviderUnavailableError, match=f"answered {status}"):
            conversation.exchange(f"{provider.issuer}/token", CODE, takes_basic=True)
        with pytest.raises(ProviderUnavailableError, match=f"answered {status}"):
            conversation.get_with_token(f"{provider.issuer}/userinfo", "at")
    assert upstream.begin(provider.issuer).discover()


def test_silence_after_a_code_opens_the_breaker(
    provider: ProviderServer, upstream: Upstream
) -> None:
    provider.answers["/token"] = lambda _: Answer(b" " * (module.MAX_BYTES + 1))
    for _ in range(BREAKER_FAILURES + 1):
        with pytest.raises(ProviderUnavailableError):
            upstream.begin(provider.issuer).exchange(
                f"{provider.issuer}/token", CODE, takes_basic=True
            )
    assert len(provider.asked("/token")) == BREAKER_FAILURES


def test_a_provider_that_is_away_is_soon_asked_no_more(
    provider: ProviderServer, upstream: Upstream
) -> None:
    provider.answers[DISCOVERY] = lambda _: Answer({}, status=503)
    for _ in range(BREAKER_FAILURES + 2):
        with pytest.raises(ProviderUnavailableError):
            upstream.begin(provider.issuer).discover()
    assert len(provider.questions) == BREAKER_FAILURES
    # Another provider has a breaker of its own.
    with provider_server() as other:
        assert upstream.begin(other.issuer).discover()


def test_an_access_token_goes_into_the_header(provider: ProviderServer, upstream: Upstream) -> None:
    url = f"{provider.issuer}/userinfo"
    assert upstream.begin(provider.issuer).get_with_token(url, "at")["sub"] == "24400320"
    (question,) = provider.questions
    assert question.headers["Authorization"] == "Bearer at"


def test_a_slow_answer_is_told_with_the_limit_of_all_calls(
    provider: ProviderServer, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "TOTAL_SECS", 0.2)
    provider.answers["/userinfo"] = lambda _: Answer(b" " * 1_000, pause_secs=0.05)
    conversation = upstream.begin(provider.issuer)
    conversation.discover()
    for _ in range(2):
        with pytest.raises(ProviderUnavailableError, match=r"^it took longer than 0\.2 s$"):
            conversation.get_with_token(f"{provider.issuer}/userinfo", "at")
