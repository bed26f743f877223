"""The sign-in methods of an account, by keyboard."""

from datetime import UTC, datetime

from playwright.sync_api import Page, expect

from tests.browser.authenticator import Browser
from tests.browser.people import Person, check_page
from tests.support.totp import code_at

ENROLLMENT = "Your code for setting up a second factor"


def expect_heading(page: Page, text: str) -> None:
    """Wait for the page with this heading, and check it."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
    check_page(page)


def press(page: Page, role: str, name: str) -> None:
    """Press a button or follow a link by keyboard."""
    page.get_by_role(role, name=name, exact=True).focus()
    page.keyboard.press("Enter")


def test_a_person_adds_an_app_and_a_passkey_renames_and_removes_it(ada: Person) -> None:
    page, browser = ada.page, Browser(ada.page)
    # The offer of the page to sign in must not sign in by itself.
    browser.set_presence(False)
    ada.sign_in()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your account")
    press(page, "link", "Sign-in methods")
    expect_heading(page, "Sign-in methods")
    press(page, "link", "Add an app")
    expect_heading(page, "Add an authenticator app")
    press(page, "button", "Start")
    expect(page.get_by_label("6-digit code that the app shows")).to_be_focused()
    check_page(page)
    secret = page.locator("[name=secret]").get_attribute("value") or ""
    ada.type(code_at(secret, datetime.now(UTC)), ada.site.letter(ada.email, ENROLLMENT).code)
    expect_heading(page, "Save your recovery codes")
    expect(page.locator("#codes li")).to_have_count(10)
    press(page, "link", "I have saved them")
    press(page, "link", "Add a passkey")
    expect_heading(page, "Add a passkey")
    browser.set_presence(True)
    press(page, "button", "Make the passkey")
    expect(page.get_by_role("status")).to_have_text("The passkey is added.")
    check_page(page)
    page.locator("a[aria-label^='Change ']").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("textbox", name="Name")).to_be_focused()
    check_page(page)
    page.keyboard.press("ControlOrMeta+A")
    ada.type("Laptop")
    expect(page.get_by_role("status")).to_have_text("The passkey has its new name.")
    press(page, "link", "Remove Laptop")
    expect_heading(page, "Remove the passkey Laptop?")
    press(page, "button", "Remove")
    expect(page.get_by_role("status")).to_contain_text("The passkey is removed.")
    expect(page.get_by_text("Laptop")).to_have_count(0)
