"""The start of a sign-in by a provider: the form, the page between, and what is refused."""

from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

import pytest
from flask import Flask

from authserve.core.clock import now
from authserve.federation.presets import Preset
from authserve.federation.state import Purpose, read_state
from authserve.web.continuation import Continuation, TargetKind, write_continuation
from tests.federation.conftest import MakeSite
from tests.support.browsing import ORIGIN, Visit
from tests.support.clients import register_caller
from tests.support.provider_sign_in import SLUG, code_of, find_way_on, register_server, set_out
from tests.support.providers import CLIENT_ID, Answer, ProviderServer

PATH = f"/sign-in/with/{SLUG}"

DISCOVERY = "/.well-known/openid-configuration"


def test_the_button_leads_to_the_provider(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    journey = set_out(visit, server)
    assert journey.address.partition("?")[0] == f"{server.issuer}/authorize"
    asked = dict(journey.asked)
    assert {name: asked.pop(name) for name in ("response_type", "client_id", "scope")} == {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "scope": "openid email profile",
    }
    assert asked.pop("redirect_uri") == f"{ORIGIN}{PATH}/callback"
    assert asked.pop("code_challenge_method") == "S256"
    assert len(asked.pop("code_challenge")) == len(asked.pop("nonce")) == 43
    with site.app_context():
        state = read_state(asked.pop("state"), now=now())
    assert (state.provider, state.purpose, state.session_id) == (SLUG, Purpose.SIGN_IN, None)
    assert asked == {}
    (cookie,) = [name for name in visit.cookie_names() if "flow" in name]
    assert cookie.endswith(state.flow_id)


NEW = {"max_age": "0", "prompt": "login"}


@pytest.mark.parametrize(
    ("preset", "query", "expected"),
    [
        (Preset.OIDC, "prompt=consent", {}),
        (Preset.OIDC, "prompt=login", NEW),
        (Preset.OIDC, "prompt=consent+select_account&max_age=60", NEW),
        (Preset.OIDC, "max_age=0", NEW),
        (Preset.OIDC, "max_age=60", {"max_age": "60"}),
        (Preset.GOOGLE, "prompt=login", {"max_age": "0"}),
        (Preset.GITHUB, "prompt=login", {}),
    ],
)
def test_an_app_that_asks_for_a_new_sign_in_gets_one_there_too(
    site: Flask, server: ProviderServer, preset: Preset, query: str, expected: dict[str, str]
) -> None:
    register_server(site, server, "asked", preset=preset)
    with site.test_request_context():
        token = write_continuation(Continuation(TargetKind.AUTHORIZE, query))
    assert token is not None
    journey = set_out(Visit(site), server, "asked", **{"continue": token})
    assert {name: journey.asked[name] for name in NEW if name in journey.asked} == expected


def test_a_signed_in_person_gives_a_new_proof_there(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    """The session that the provider's cookie has is none: the browser may be another person's."""
    register_caller(site, "alice")
    visit.sign_in("alice")
    assert NEW.items() <= set_out(visit, server).asked.items()
    token = visit.open("/account/profile").form("/account/profile")["token"]
    linking = set_out(visit, server, purpose="link", token=token)
    assert not linking.asked.keys() & NEW.keys()


def test_every_way_has_secrets_of_its_own(visit: Visit, server: ProviderServer) -> None:
    first, second = set_out(visit, server), set_out(visit, server)
    for name in ("state", "nonce", "code_challenge"):
        assert first.asked[name] != second.asked[name]
    assert len([name for name in visit.cookie_names() if "flow" in name]) == 2


def test_an_endpoint_keeps_its_own_query(visit: Visit, server: ProviderServer) -> None:
    endpoint = f"{server.issuer}/authorize?tenant=a&b"
    server.answers[DISCOVERY] = lambda _: Answer(server.metadata(authorization_endpoint=endpoint))
    journey = set_out(visit, server)
    assert journey.address.startswith(f"{endpoint}&response_type=code&")


def test_the_page_between_keeps_no_trace(visit: Visit, server: ProviderServer) -> None:
    answer = visit.send(PATH, {})
    assert (answer.status, answer.headers["Referrer-Policy"]) == (303, "no-referrer")
    between = visit.open(answer.location)
    assert between.headers["Referrer-Policy"] == "no-referrer"
    assert between.headers["Cache-Control"] == "no-store"
    assert "form-action 'self'" in between.headers["Content-Security-Policy"]
    assert f"You are on the way to {urlsplit(server.issuer).hostname}" in between.text
    # It may be loaded again.
    assert find_way_on(visit.open(answer.location)) == find_way_on(between)


def test_only_a_form_of_ours_begins_one(visit: Visit) -> None:
    for headers in ({}, {"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        assert visit.send(PATH, {}, headers=headers).status == 403
    assert visit.cookie_names() == []


def test_the_page_between_is_for_the_browser_that_began(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    location = visit.send(PATH, {}).location
    stranger = Visit(site)
    for other in (location, f"{PATH}?state=x", location.replace(SLUG, "other", 1)):
        shown = stranger.open(other)
        assert (shown.status, code_of(shown)) == (400, "state_invalid")
    stranger.send(PATH, {})
    assert stranger.open(location).status == 400
    assert server.questions == []


def test_without_a_state_it_leads_to_the_form(visit: Visit) -> None:
    assert visit.open(PATH).location == "/sign-in"


@pytest.mark.parametrize("slug", ["other", "off", "Work", "x" * 40])
def test_an_unknown_or_disabled_provider_is_no_page(
    site: Flask, visit: Visit, server: ProviderServer, slug: str
) -> None:
    register_server(site, server, "off", enabled=False)
    shown = visit.send(f"/sign-in/with/{slug}", {})
    assert shown.status == 404
    assert "There is no such page" in shown.text
    assert visit.cookie_names() == []


def test_a_field_that_is_none_of_the_form_is_refused(visit: Visit) -> None:
    assert visit.send(PATH, {"surprise": "1"}).status == 422


def test_a_provider_that_is_away_is_a_page_that_says_so(
    visit: Visit, server: ProviderServer
) -> None:
    location = visit.send(PATH, {}).location
    server.answers[DISCOVERY] = lambda _: Answer({}, status=500)
    shown = visit.open(location)
    assert (shown.status, code_of(shown)) == (503, "provider_unavailable")
    assert shown.headers["Retry-After"]
    assert "Example Works does not answer as it should" in shown.text
    # The way is still open.
    server.answers[DISCOVERY] = lambda _: Answer(server.metadata())
    assert visit.open(location).status == 200


def test_twenty_a_minute_begin_at_one_address(make_site: MakeSite) -> None:
    site = make_site(ratelimit_enabled=True)
    visit = Visit(site)
    register_caller(site, "alice")
    visit.sign_in()
    link = visit.open("/account/apps").form(PATH)
    found = [visit.send(PATH, {}).status for _ in range(21)]
    assert found == [303] * 20 + [429]
    assert link["purpose"] == "link"
    assert visit.send(PATH, link).status == 429


def test_without_the_feature_there_is_none(make_app: Callable[..., Flask]) -> None:
    visit = Visit(make_app(features=("pages",)))
    assert visit.send(PATH, {}).status == visit.open(f"{PATH}/callback").status == 404


def test_the_language_that_was_asked_for_stays(visit: Visit, server: ProviderServer) -> None:
    answer = visit.send(f"{PATH}?lang=de", {})
    assert dict(parse_qsl(urlsplit(answer.location).query))["lang"] == "de"
    journey = set_out(visit, server, language="de")
    shown = journey.come_back(error="server_error", code=None)
    assert shown.tree.attrib["lang"] == "de"
    assert [
        link.attrib["href"] for link in shown.tree.iter("a") if "sign-in" in link.attrib["href"]
    ] == ["/sign-in?lang=de"]
