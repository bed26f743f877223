"""Sign-in by a provider, in a real browser: its buttons, and the whole way there and back."""

from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import pytest
from playwright.sync_api import expect

from authserve.web.browser_session import SESSION_COOKIE
from tests.browser.app import App, running_app
from tests.browser.people import Person, check_page
from tests.browser.provider import BUTTON, NAME, running_provider
from tests.support.providers import ProviderServer
from tests.support.site import Site, running_site


@pytest.fixture(scope="module")
def site_with_pages(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The service between apps and providers."""
    settings = {"FEATURES": "pages,oidc,federation", "OUTBOUND_HOSTS": "127.0.0.1"}
    with running_site(sqlite_template, tmp_path_factory.mktemp("site"), **settings) as site:
        yield site


@pytest.fixture(scope="module")
def provider(
    site_with_pages: Site, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ProviderServer]:
    """A provider whose person has no account yet."""
    with running_provider(site_with_pages, tmp_path_factory.mktemp("secret")) as server:
        yield server


@pytest.fixture(scope="module")
def wiki(site_with_pages: Site) -> Iterator[App]:
    """An app of a third party."""
    with running_app(site_with_pages, "wiki") as app:
        yield app


@pytest.fixture
def newcomer(provider: ProviderServer, ada: Person) -> Person:
    """A browser whose person is known to the provider alone."""
    name_newcomer(provider)
    return ada


def name_newcomer(provider: ProviderServer) -> None:
    """Let the provider name a person without an account."""
    name = f"person-{uuid4().hex[:8]}"
    provider.claims = {"sub": name, "email": f"{name}@example.com", "email_verified": True}


def press(person: Person, name: str) -> None:
    """Press a button by keyboard."""
    button = person.page.get_by_role("button", name=name, exact=True)
    button.focus()
    person.page.keyboard.press("Enter")


def expect_heading(person: Person, text: str) -> None:
    """Wait for the page with this heading."""
    expect(person.page.get_by_role("heading", level=1)).to_have_text(text)


def go_by_provider(person: Person) -> None:
    """Press the provider's button, and go on at its page."""
    press(person, BUTTON)
    expect_heading(person, NAME)
    person.page.get_by_role("link", name="Continue").click()


@pytest.mark.parametrize(("scheme", "language"), [("light", "en"), ("dark", "de")])
def test_no_page_with_providers_has_a_barrier(
    make_person: Callable[..., Person],
    provider: ProviderServer,
    wiki: App,
    scheme: str,
    language: str,
) -> None:
    person = make_person(color_scheme=scheme, locale=language, reduced_motion="reduce")
    for address in ("/sign-in", "/sign-up"):
        person.open(address)
        check_page(person.page)
        person.page.locator("summary").click()
        expect(person.page.get_by_role("button", name="GitLab")).to_be_visible()
        check_page(person.page)
    person.page.goto(f"{wiki.url}/sign-in?idp_hint=github")
    expect(person.page.locator("#identifier")).to_be_hidden()
    check_page(person.page)
    person.page.locator("summary").click()
    expect(person.page.locator("#identifier")).to_be_visible()
    check_page(person.page)


def test_a_newcomer_signs_in_twice_and_stays_signed_in_as_asked(newcomer: Person) -> None:
    for is_remembered in (False, True):
        newcomer.open("/sign-in")
        newcomer.page.get_by_label("Keep me signed in").set_checked(is_remembered)
        go_by_provider(newcomer)
        expect_heading(newcomer, "Your account")
        cookies = newcomer.page.context.cookies()
        (lifetime,) = [each["expires"] for each in cookies if each["name"] == SESSION_COOKIE]
        assert (lifetime > 0) is is_remembered
        newcomer.page.get_by_role("button", name="Sign out").click()
        expect_heading(newcomer, "You are signed out")


def test_without_script_a_person_stays_signed_in_as_asked(
    provider: ProviderServer, make_person: Callable[..., Person]
) -> None:
    name_newcomer(provider)
    person = make_person(java_script_enabled=False)
    person.open("/sign-in")
    form = person.page.locator("form", has=person.page.get_by_role("button", name=BUTTON))
    form.get_by_label("Keep me signed in").check()
    form.get_by_role("button").click()
    person.page.get_by_role("link", name="Continue").click()
    expect_heading(person, "Your account")
    cookies = person.page.context.cookies()
    (lifetime,) = [each["expires"] for each in cookies if each["name"] == SESSION_COOKIE]
    assert lifetime > 0


def test_a_person_who_goes_back_there_can_begin_again(newcomer: Person) -> None:
    newcomer.open("/sign-in")
    press(newcomer, BUTTON)
    newcomer.page.get_by_role("link", name="Go back").click()
    alert = newcomer.page.get_by_role("alert")
    expect(alert).to_have_text("The sign-in at the other service was cancelled.")
    expect(alert).to_be_focused()
    go_by_provider(newcomer)
    expect_heading(newcomer, "Your account")


def test_an_app_leads_to_its_provider(newcomer: Person, wiki: App) -> None:
    newcomer.page.goto(f"{wiki.url}/sign-in?idp_hint=work")
    expect(newcomer.page.locator("button.primary")).to_have_text([BUTTON])
    go_by_provider(newcomer)
    expect_heading(newcomer, "Allow Wiki?")
    press(newcomer, "Allow")
    expect_heading(newcomer, "App: /inside")
    (code,) = parse_qs(urlsplit(newcomer.page.url).query)["code"]
    assert wiki.redeem(code)["token_type"] == "Bearer"
