"""An app's whole way, in a real browser: there, by the pages, and back."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from playwright.sync_api import expect

from tests.browser.app import STATE, App, running_app
from tests.browser.people import Person, check_page
from tests.support.clients import PASSWORD
from tests.support.site import Site, running_site
from tests.support.totp import PATH, STEP, code_at

ENROLLMENT = "Your code for setting up a second factor"


@pytest.fixture(scope="module")
def site_with_pages(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The service with pages, as an identity provider, and with API keys."""
    settings = {"FEATURES": "pages,oidc,api-keys", "BRAND_NAME": "Larkspur"}
    with running_site(sqlite_template, tmp_path_factory.mktemp("site"), **settings) as site:
        yield site


@pytest.fixture(scope="module")
def wiki(site_with_pages: Site) -> Iterator[App]:
    """An app of a third party."""
    with running_app(site_with_pages, "wiki") as app:
        yield app


@pytest.fixture
def ada(make_person: Callable[..., Person]) -> Person:
    """A person with an account; colours change at once, so that no check meets them half-way."""
    return make_person(reduced_motion="reduce")


def add_authenticator(person: Person) -> tuple[str, datetime]:
    """Set an authenticator app up; returns its secret, and the time of the code that is spent."""
    client = person.site.client()
    body = {"identifier": person.email, "password": PASSWORD}
    token = client.post("/api/v1/auth/login", json=body).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    secret = client.post(PATH, headers=headers).json()["secret"]
    spent_at = datetime.now(UTC)
    codes = {"code": code_at(secret, spent_at)}
    codes["email_code"] = person.site.letter(person.email, ENROLLMENT).code
    answer = client.post(f"{PATH}/confirm", json=codes, headers=headers)
    assert answer.status_code == 200, answer.text
    return secret, spent_at


def expect_heading(person: Person, text: str) -> None:
    """Wait for the page with this heading."""
    expect(person.page.get_by_role("heading", level=1)).to_have_text(text)


def press(person: Person, name: str) -> None:
    """Press a button by keyboard alone: Tab leads to it from the top of the page."""
    button = person.page.get_by_role("button", name=name, exact=True)
    for _ in range(20):
        person.page.keyboard.press("Tab")
        if button.evaluate("element => element === document.activeElement"):
            break
    expect(button).to_be_focused()
    person.page.keyboard.press("Enter")


def expect_arrival(person: Person, app: App) -> dict[str, str]:
    """Wait until the app is reached, at its second origin; returns what it was told."""
    expect_heading(person, "App: /inside")
    place = urlsplit(person.page.url)
    assert f"{place.scheme}://{place.netloc}" == app.inside
    told = {name: value for name, (value,) in parse_qs(place.query).items()}
    assert (told.pop("state"), told.pop("iss")) == (STATE, app.site.url)
    return told


def allow(person: Person) -> None:
    """Allow the app, on the page that asks."""
    expect_heading(person, "Allow Wiki?")
    press(person, "Allow")


def test_a_person_signs_in_and_out_by_an_app(ada: Person, wiki: App) -> None:
    secret, spent_at = add_authenticator(ada)
    ada.page.goto(f"{wiki.url}/sign-in")
    expect_heading(ada, "Sign in")
    check_page(ada.page)
    ada.fill_in()
    expect_heading(ada, "Enter your code")
    check_page(ada.page)
    ada.type(code_at(secret, spent_at + STEP))
    allow(ada)
    tokens = wiki.redeem(expect_arrival(ada, wiki)["code"])

    bye = {"id_token_hint": tokens["id_token"], "post_logout_redirect_uri": f"{wiki.url}/bye"}
    ada.page.goto(f"{ada.site.url}/oauth/logout?{urlencode(bye)}")
    expect_heading(ada, "App: /bye")
    assert ada.page.url == f"{wiki.url}/bye"
    ada.open("/account")
    expect_heading(ada, "Sign in")


def test_a_form_that_wants_a_new_proof_asks_once(ada: Person, wiki: App) -> None:
    ada.sign_in()
    expect_heading(ada, "Your account")
    # A proof of the very second in which a request begins counts as made for it.
    time.sleep(1)
    asked: list[str] = []
    ada.page.on("framenavigated", lambda frame: asked.append(urlsplit(frame.url).path))
    ada.page.goto(f"{wiki.url}/form?prompt=login&max_age=0")
    press(ada, "Sign in")
    expect_heading(ada, "Confirm it is you")
    ada.type(PASSWORD)
    allow(ada)
    code = expect_arrival(ada, wiki)["code"]
    assert asked.count("/account/confirm") == 1, asked
    wiki.redeem(code)

    # The proof is not asked again. The consent is, since the app is at a loopback address.
    ada.page.go_back()
    allow(ada)
    assert expect_arrival(ada, wiki)["code"] != code
    assert asked.count("/account/confirm") == 1, asked


def test_refusing_leads_back(ada: Person, wiki: App) -> None:
    ada.page.goto(f"{wiki.url}/sign-in")
    ada.fill_in()
    expect_heading(ada, "Allow Wiki?")
    press(ada, "Refuse")
    assert expect_arrival(ada, wiki)["error"] == "access_denied"


OWN = ("/account/apps", "/account/keys", "/account/keys/new")


def test_pages_about_apps_have_no_barrier(make_person: Callable[..., Person], wiki: App) -> None:
    ada = make_person(color_scheme="dark", reduced_motion="reduce")
    ada.page.goto(f"{wiki.url}/sign-in")
    ada.fill_in()
    expect_heading(ada, "Allow Wiki?")
    check_page(ada.page)
    press(ada, "Allow")
    expect_arrival(ada, wiki)
    for path in OWN:
        ada.open(path)
        check_page(ada.page)


def test_long_texts_from_right_to_left_fit_a_small_window(
    make_person: Callable[..., Person], wiki: App
) -> None:
    ada = make_person(viewport={"width": 320, "height": 844})
    secret, spent_at = add_authenticator(ada)
    cookie = {"name": "authserve-lang", "value": "qps-plocm", "url": ada.site.url}
    ada.page.context.add_cookies([cookie])
    ada.page.goto(f"{wiki.url}/sign-in")
    ada.fill_in()
    ada.page.wait_for_url("**/sign-in/second-step**")
    expect_fit(ada)
    ada.type(code_at(secret, spent_at + STEP))
    ada.page.wait_for_url("**/consent?**")
    expect_fit(ada)
    ada.page.locator("[value=allow]").click()
    expect_arrival(ada, wiki)
    for path in OWN:
        ada.open(path)
        expect_fit(ada)


def expect_fit(person: Person) -> None:
    """Check that the page is from right to left and no wider than the window."""
    page = person.page
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, page.url
