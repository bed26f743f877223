"""The pages in a real browser: by keyboard alone, without script, in light and dark, and small."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import APP, Site
from tests.support.clients import PASSWORD

NEW_PASSWORD = "another horse, another staple"

PATHS = (
    "/sign-in",
    "/sign-up",
    "/forgot-password",
    "/verify-email",
    "/reset-password",
    "/accept-invitation",
    "/first-administrator",
    "/signed-out",
    "/nowhere",
)


expect.set_options(timeout=20_000)


class Person:
    """A person with an account and a browser of their own, which notes complaints."""

    def __init__(self, site: Site, page: Page) -> None:
        self.site, self.page = site, page
        self.email = f"user-{uuid4().hex[:8]}@example.com"
        self.complaints: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        body = {"email": self.email, "password": PASSWORD}
        answer = site.client().post("/api/v1/auth/register", json=body)
        assert answer.status_code == 201, answer.text

    def _note(self, kind: str, text: str) -> None:
        # The browser itself writes a line for each page with a status from 400 on.
        if kind in ("error", "warning") and "responded with a status of" not in text:
            self.complaints.append(text)

    def open(self, path: str) -> None:
        """Open a page."""
        self.page.goto(self.site.url + path)

    def type(self, *texts: str) -> None:
        """Type into the fields in their order, from the one with the focus, and press Enter."""
        self._wait_for_focus()
        for number, text in enumerate(texts):
            if number:
                self.page.keyboard.press("Tab")
            self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Enter")

    def _wait_for_focus(self) -> None:
        """Wait until a field has the focus: a busy browser gives it some time after the load."""
        expect(self.page.locator("input:focus")).to_have_count(1)

    def sign_in(self, password: str = PASSWORD, path: str = "/sign-in") -> None:
        """Sign in by keyboard alone."""
        self.open(path)
        self._wait_for_focus()
        self.page.keyboard.insert_text(self.email)
        # Over the link for forgotten passwords.
        self.page.keyboard.press("Tab")
        self.page.keyboard.press("Tab")
        self.type(password)


@pytest.fixture
def make_person(site_with_pages: Site, chromium: Browser) -> Iterator[Callable[..., Person]]:
    """Make people, each with a profile of their own; options are those of `new_context`."""
    people: list[Person] = []

    def make(**options: object) -> Person:
        context = chromium.new_context(**options)
        context.set_default_timeout(20_000)
        people.append(Person(site_with_pages, context.new_page()))
        return people[-1]

    yield make
    for person in people:
        person.page.context.close()
        assert person.complaints == []


@pytest.fixture
def ada(make_person: Callable[..., Person]) -> Person:
    """A person with an account."""
    return make_person()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_has_a_barrier(make_person: Callable[..., Person], scheme: str) -> None:
    ada = make_person(color_scheme=scheme, viewport={"width": 390, "height": 844})
    for path in PATHS:
        ada.open(path)
        check_page(ada.page)
    ada.sign_in("a wrong password 12")
    expect(ada.page.get_by_role("alert")).to_be_focused()
    check_page(ada.page)
    ada.sign_in()
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your account")
    check_page(ada.page)
    ada.open("/sign-out")
    check_page(ada.page)


def check_page(page: Page) -> None:
    """Check that a page has no barrier that axe finds, and fits every window."""
    found = Axe().run(page)
    assert found.violations_count == 0, (page.url, found.generate_report())
    for width in (320, 1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url


def test_a_person_signs_in_and_out_by_keyboard(ada: Person) -> None:
    ada.sign_in("a wrong password 12")
    alert = ada.page.get_by_role("alert")
    expect(alert).to_be_focused()
    expect(alert).to_have_text("The address, username or password is wrong.")
    expect(ada.page.get_by_label("Email address or username")).to_have_value(ada.email)
    ada.sign_in()
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your account")
    ada.page.get_by_role("button", name="Sign out").focus()
    ada.page.keyboard.press("Enter")
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("You are signed out")


def test_back_after_signing_out_shows_no_account(ada: Person) -> None:
    ada.sign_in()
    ada.page.get_by_role("button", name="Sign out").click()
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("You are signed out")
    ada.page.go_back()
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Sign in")
    expect(ada.page.get_by_text(ada.email)).to_have_count(0)


def test_the_person_returns_to_the_app(ada: Person) -> None:
    asked: list[str] = []

    def answer(route) -> None:
        asked.append(route.request.url)
        assert "referer" not in route.request.headers
        route.fulfill(body="the app", content_type="text/plain")

    ada.page.route(f"{APP}/**", answer)
    ada.sign_in(path=f"/sign-in?return_to={APP}/inside/page")
    expect(ada.page.get_by_text("the app")).to_be_visible()
    assert asked == [f"{APP}/inside/page"]


def test_two_tabs_keep_their_targets(ada: Person) -> None:
    ada.page.context.route(f"{APP}/**", lambda route: route.fulfill(body=route.request.url))
    other = ada.page.context.new_page()
    other.goto(f"{ada.site.url}/sign-in?return_to={APP}/inside/other")
    ada.sign_in(path=f"/sign-in?return_to={APP}/inside/first")
    expect(ada.page.get_by_text(f"{APP}/inside/first")).to_be_visible()
    other.get_by_label("Email address or username").fill(ada.email)
    other.get_by_label("Password", exact=True).fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    expect(other.get_by_text(f"{APP}/inside/other")).to_be_visible()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_forgotten_password_is_reset(
    make_person: Callable[..., Person], has_script: bool
) -> None:
    ada = make_person(java_script_enabled=has_script)
    ada.open("/forgot-password")
    ada.type(ada.email)
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Look into your mail")
    link = ada.site.letter(ada.email, "Set a new password").link
    ada.page.goto(link)
    field = ada.page.get_by_label("Link from the mail")
    if has_script:
        expect(field).to_be_hidden()
        # The token leaves the address bar at once.
        assert ada.page.url == f"{ada.site.url}/reset-password"
    else:
        field.fill(link)
    ada.page.get_by_label("New password").fill(NEW_PASSWORD)
    ada.page.get_by_role("button", name="Set the password").click()
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your new password is set")
    ada.sign_in(NEW_PASSWORD)
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your account")


def test_a_password_can_be_shown_and_goes_out_hidden(ada: Person) -> None:
    ada.open("/sign-in")
    field = ada.page.locator("#password")
    field.fill("a wrong password 12")
    show = ada.page.get_by_role("button", name="Show the password")
    show.click()
    expect(field).to_have_attribute("type", "text")
    expect(show).to_have_attribute("aria-pressed", "true")
    ada.page.locator("#identifier").fill(ada.email)
    ada.page.evaluate(
        "document.querySelector('form').addEventListener('submit', event => {"
        " event.preventDefault(); document.title = document.getElementById('password').type; })"
    )
    ada.page.get_by_role("button", name="Sign in").click()
    expect(ada.page).to_have_title("password")


def test_password_managers_find_their_fields(ada: Person) -> None:
    hints = {
        "/sign-in": ["username webauthn", "current-password"],
        "/sign-up": ["email", "new-password"],
        "/reset-password": ["new-password"],
    }
    for path, wanted in hints.items():
        ada.open(path)
        for hint in wanted:
            expect(ada.page.locator(f"input[autocomplete='{hint}']")).to_have_count(1)
