"""Whole answers of providers: OpenID Connect's, GitHub's, and hostile ones."""

from collections.abc import Iterator
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest

from authserve.core.outbound import OutboundClient
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.ask import ProviderAnswer, ask_provider, find_endpoint
from authserve.federation.code_exchange import Exchange
from authserve.federation.presets import Preset
from authserve.federation.upstream import ProviderUnavailableError, Upstream
from tests.support.providers import (
    CLIENT_ID,
    SECRET,
    Answer,
    ProviderServer,
    jwk_set,
    provider_server,
)

NONCE = "n-0S6_WzA2Mj"

AT = 1_795_860_000


@pytest.fixture
def provider() -> Iterator[ProviderServer]:
    with provider_server() as running:
        running.nonce = NONCE
        yield running


@pytest.fixture
def upstream() -> Upstream:
    hosts = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))
    return Upstream(OutboundClient(hosts=hosts), clock=iter(range(0, 10**6, 100)).__next__)


def ask(
    provider: ProviderServer,
    upstream: Upstream,
    preset: Preset = Preset.OIDC,
    *,
    now: datetime | None = None,
) -> ProviderAnswer:
    """Exchange a code."""
    exchange = Exchange(
        client_id=CLIENT_ID,
        client_secret=SECRET,
        code="a code",
        verifier="v" * 43,
        redirect_uri="https://login.example.com/sign-in/with/oidc/callback",
    )
    conversation = upstream.begin(provider.issuer)
    moment = now or datetime.now(UTC)
    return ask_provider(preset, provider.issuer, exchange, conversation, nonce=NONCE, now=moment)


def test_a_good_answer_describes_the_person(provider: ProviderServer, upstream: Upstream) -> None:
    provider.claims |= {"amr": ["pwd", "otp", 1], "acr": "aal2"}
    found = ask(provider, upstream)
    assert found.person.subject == "24400320"
    assert found.person.claimed.email == "alice@example.com"
    assert found.person.claimed.is_email_verified
    assert (found.amr, found.acr) == ({"pwd", "otp"}, "aal2")
    assert not provider.asked("/userinfo")


@pytest.mark.parametrize(
    ("told", "is_former"),
    [
        (AT - 61, True),
        (AT - 60, False),
        (AT - 3_600.5, True),
        (0, True),
        (AT + 600, False),
        (None, False),
        (-1, False),
        (True, False),
        (str(AT - 3_600), False),
        (float("nan"), False),
        (float("-inf"), False),
    ],
)
def test_a_former_sign_in_there_has_its_own_time(
    provider: ProviderServer, upstream: Upstream, told: Any, is_former: bool
) -> None:
    """The two clocks may differ by a minute."""
    provider.claims["auth_time"] = told
    provider.answers["/token"] = lambda _: Answer({"id_token": provider.sign(iat=AT, exp=AT + 60)})
    found = ask(provider, upstream, now=datetime.fromtimestamp(AT, UTC)).auth_time
    assert found == (datetime.fromtimestamp(told + 60, UTC) if is_former else None)


def test_userinfo_is_asked_for_an_address_that_the_token_lacks(
    provider: ProviderServer, upstream: Upstream
) -> None:
    whole = dict(provider.claims)
    provider.answers["/userinfo"] = lambda _: Answer(whole)
    provider.claims = {"sub": whole["sub"]}
    found = ask(provider, upstream)
    assert found.person.claimed.email == "alice@example.com"
    assert found.person.display_name == "Alice"
    whole["sub"] = "another"
    with pytest.raises(ProviderUnavailableError, match="another subject"):
        ask(provider, upstream)


@pytest.mark.parametrize(
    ("preset", "claim"), [(Preset.OIDC, "email_verified"), (Preset.MICROSOFT, "xms_edov")]
)
def test_a_token_verifies_no_address_of_userinfo(
    provider: ProviderServer, upstream: Upstream, preset: Preset, claim: str
) -> None:
    whole: dict[str, Any] = {"sub": provider.claims["sub"], "email": "victim@example.com"}
    provider.answers["/userinfo"] = lambda _: Answer(whole)
    provider.claims = {"sub": whole["sub"], claim: True}
    found = ask(provider, upstream, preset).person.claimed
    assert (found.email, found.is_email_verified) == ("victim@example.com", False)
    whole[claim] = True
    assert ask(provider, upstream, preset).person.claimed.is_email_verified


def test_a_new_key_is_fetched_and_an_unknown_one_refused(
    provider: ProviderServer, upstream: Upstream
) -> None:
    sets = [jwk_set("old"), jwk_set("old"), jwk_set()]
    provider.answers["/keys"] = lambda _: Answer(sets.pop(0))
    with pytest.raises(ProviderUnavailableError, match="key is not in"):
        ask(provider, upstream)
    assert len(sets) == 1
    assert ask(provider, upstream).person.subject == "24400320"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://id.example.org"},
        {"aud": "another"},
        {"nonce": "another"},
        {"exp": 1},
        {"sub": None},
    ],
)
def test_a_hostile_token_is_refused_with_words_for_the_operator(
    provider: ProviderServer, upstream: Upstream, changes: dict[str, Any]
) -> None:
    token = provider.sign(**changes)
    answer = {"access_token": "at", "id_token": token}
    provider.answers["/token"] = lambda _: Answer(answer)
    with pytest.raises(ProviderUnavailableError) as refused:
        ask(provider, upstream)
    assert "ID token is refused" in refused.value.reason
    assert token not in refused.value.reason


@pytest.mark.parametrize(
    "answer", [{}, {"id_token": None}, {"id_token": 1}, {"id_token": ["a"]}, {"id_token": "a.b"}]
)
def test_an_answer_without_a_token_is_refused(
    provider: ProviderServer, upstream: Upstream, answer: dict[str, Any]
) -> None:
    provider.answers["/token"] = lambda _: Answer(answer)
    with pytest.raises(ProviderUnavailableError):
        ask(provider, upstream)


GITHUB_TOKEN = {"access_token": "gho_16C7e42F", "scope": "user:email", "token_type": "bearer"}

GITHUB_USER = {"login": "octocat", "id": 583_231, "name": "The Octocat", "email": None}

GITHUB_EMAILS = [{"email": "octocat@example.com", "verified": True, "primary": True}]


@pytest.fixture
def github(provider: ProviderServer) -> ProviderServer:
    """GitHub Enterprise Server, by the shape of its answers."""
    provider.answers |= {
        "/login/oauth/access_token": lambda _: Answer(GITHUB_TOKEN),
        "/api/v3/user": lambda _: Answer(GITHUB_USER),
        "/api/v3/user/emails": lambda _: Answer(GITHUB_EMAILS),
    }
    return provider


def test_github_has_endpoints_of_its_own(github: ProviderServer, upstream: Upstream) -> None:
    found = ask(github, upstream, Preset.GITHUB)
    assert found.person.subject == "583231"
    assert found.person.claimed.email == "octocat@example.com"
    assert found.person.display_name == "The Octocat"
    (question,) = github.asked("/login/oauth/access_token")
    assert question.credentials == (CLIENT_ID, SECRET)
    assert not github.asked("/.well-known/openid-configuration")
    conversation = upstream.begin(github.issuer)
    endpoint = find_endpoint(Preset.GITHUB, github.issuer, conversation)
    assert endpoint.url == f"{github.issuer}/login/oauth/authorize"


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/login/oauth/access_token", {"error": "bad_verification_code"}),
        ("/login/oauth/access_token", {"access_token": "two\nlines"}),
        ("/login/oauth/access_token", {}),
        ("/api/v3/user", {"login": "octocat"}),
        ("/api/v3/user", [GITHUB_USER]),
        ("/api/v3/user/emails", {"message": "Not Found"}),
    ],
)
def test_an_answer_of_another_shape_is_not_githubs(
    github: ProviderServer, upstream: Upstream, path: str, answer: Any
) -> None:
    github.answers[path] = lambda _: Answer(answer)
    with pytest.raises(ProviderUnavailableError):
        ask(github, upstream, Preset.GITHUB)


@pytest.mark.parametrize(
    ("amr", "acr", "is_two"),
    [
        ([], None, False),
        (["pwd", "otp"], None, False),
        (["pwd", "mfa"], None, True),
        ("mfa", None, False),
        ([], "aal2", True),
        ([], "phr", True),
        ([], "https://refeds.org/profile/mfa", True),
        ([], "aal1", False),
        ([], "1", False),
    ],
)
def test_two_factors_are_those_that_it_names(
    provider: ProviderServer, upstream: Upstream, amr: object, acr: str | None, is_two: bool
) -> None:
    provider.claims |= {"amr": amr, "acr": acr}
    assert ask(provider, upstream).claims_two_factors is is_two
