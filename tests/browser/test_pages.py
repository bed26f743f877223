"""The pages in a real browser: by keyboard alone, without script, in light and dark, and small."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import APP
from tests.browser.people import Person, check_page
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

ACCOUNT_PATHS = (
    "/account/activity",
    "/account/confirm",
    "/account/data",
    "/account/data/delete",
    "/account/email",
    "/account/password",
    "/account/profile",
    "/account/sessions",
    "/account/sessions/end-all",
    "/account/sign-in-methods",
    "/sign-out",
)


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
    for path in ACCOUNT_PATHS:
        ada.open(path)
        check_page(ada.page)


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
    other.get_by_role("button", name="Sign in", exact=True).click()
    expect(other.get_by_text(f"{APP}/inside/other")).to_be_visible()


@pytest.mark.parametrize("has_script", [True, False])
def test_a_forgotten_password_is_reset(
    make_person: Callable[..., Person], has_script: bool
) -> None:
    ada = make_person(java_script_enabled=has_script)
    ada.open("/forgot-password")
    ada.type(ada.email)
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Check your mail")
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
    ada.page.get_by_role("button", name="Sign in", exact=True).click()
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
