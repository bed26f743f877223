"""Journeys from mailed links, in a real browser and against real processes."""

from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.browser.conftest import User
from tests.support.clients import PASSWORD

NEW_PASSWORD = "another horse, another staple"

MESSAGE = "#message"


def submit(page: Page, **values: str) -> None:
    for name, value in values.items():
        page.locator(f"#{name}").fill(value)
    page.get_by_role("button").click()


def expect_end(page: Page, heading: str) -> None:
    """Check that the form is gone and the result is shown and has the focus."""
    expect(page.locator(f"{MESSAGE} h2")).to_have_text(heading)
    expect(page.locator("form")).to_be_hidden()
    expect(page.locator(MESSAGE)).to_be_focused()


def expect_fault(page: Page, name: str, text: str) -> None:
    """Check that the fault is next to its field, which is marked invalid and has the focus."""
    field = page.locator(f"#{name}")
    expect(page.locator(f"#{name}-faults")).to_contain_text(text)
    expect(field).to_have_attribute("aria-invalid", "true")
    described_by = field.get_attribute("aria-describedby") or ""
    assert f"{name}-faults" in described_by.split()
    expect(field).to_be_focused()


def test_it_verifies_an_address(site, alice, open_page) -> None:
    link = site.letter(alice.email, "Verify your email address").link
    assert link.startswith(f"{site.url}/verify-email#")
    page = open_page(link)
    expect(page).to_have_url(f"{site.url}/verify-email")

    submit(page)
    expect_fault(page, "password", "Enter the password of your account.")
    submit(page, password="not the password")
    expect_fault(page, "password", "The password is wrong.")
    assert alice.call("GET", "/users/me").json()["email_verified"] is False

    submit(page, password=PASSWORD)
    expect_end(page, "Your address is verified")
    assert alice.call("GET", "/users/me").json()["email_verified"] is True

    # The link is spent; the page names the next step.
    again = open_page(link)
    submit(again, password=PASSWORD)
    expect_end(again, "This link is not good any more")
    expect(again.locator(MESSAGE)).to_contain_text("ask for a new mail")


def test_it_sets_a_password_at_the_second_try(site, alice, open_page) -> None:
    alice.call("POST", "/auth/password/forgot", {"email": alice.email})
    page = open_page(site.letter(alice.email, "Set a new password").link)

    submit(page, new_password="password1")
    expect_fault(page, "new_password", "upper-case letter")
    assert page.locator("#new_password-faults li").count() == 2
    expect(page.locator("#new_password")).to_have_value("password1")

    submit(page, new_password=NEW_PASSWORD)
    expect_end(page, "Your new password is set")
    expect(page.locator(MESSAGE)).to_contain_text("Your other sessions have ended")
    assert alice.call("GET", "/users/me").status_code == 401
    assert alice.login(NEW_PASSWORD).status_code == 200


def test_it_confirms_a_new_address(site, alice, open_page) -> None:
    address = f"new-{alice.email}"
    alice.call("POST", "/users/me/email", {"new_email": address})
    letter = site.letter(address, "Confirm your new email address")
    page = open_page(letter.link)
    submit(page, password=PASSWORD)
    expect_end(page, "Your address is changed")
    assert alice.call("GET", "/users/me").json()["email"] == address


def test_it_reports_that_a_new_address_was_taken_meanwhile(site, alice, open_page) -> None:
    name = f"wanted-{alice.name}"
    alice.call("POST", "/users/me/email", {"new_email": f"{name}@example.com"})
    page = open_page(site.letter(f"{name}@example.com", "Confirm your new email address").link)
    User(site.client(), name)
    submit(page, password=PASSWORD)
    expect(page.locator(f"{MESSAGE} h2")).to_have_text("Another account uses this address")
    expect(page.locator(MESSAGE)).to_be_focused()


def test_it_accepts_an_invitation(site, alice, open_page) -> None:
    address = f"guest-{alice.email}"
    assert site.run("users", "grant", alice.name, "admin").returncode == 0
    assert alice.call("POST", "/users", {"email": address}).status_code == 201
    page = open_page(site.letter(address, "You are invited").link)
    submit(page, display_name="  A Guest ", username=alice.name, password=NEW_PASSWORD)
    expect_fault(page, "username", "Another user has this username.")

    name = f"g{alice.name}"
    submit(page, username=name)
    expect_end(page, "Your account is ready")
    signed_in = alice.client.post(
        "/api/v1/auth/login", json={"identifier": name, "password": NEW_PASSWORD}
    ).json()
    headers = {"Authorization": f"Bearer {signed_in['access_token']}"}
    me = alice.client.get("/api/v1/users/me", headers=headers).json()
    assert (me["display_name"], me["email_verified"]) == ("A Guest", True)


def test_it_needs_no_mouse(site, alice, open_page) -> None:
    alice.call("POST", "/auth/password/forgot", {"email": alice.email})
    page = open_page(site.letter(alice.email, "Set a new password").link)
    expect(page.locator("form")).to_be_visible()
    keyboard = page.keyboard

    keyboard.press("Tab")
    expect(page.get_by_label("New password")).to_be_focused()
    keyboard.type("short")
    keyboard.press("Enter")
    expect_fault(page, "new_password", "Use at least 8 characters.")

    keyboard.press("Control+A")
    keyboard.type(NEW_PASSWORD)
    keyboard.press("Tab")
    expect(page.get_by_label("Show password")).to_be_focused()
    keyboard.press("Space")
    expect(page.locator("#new_password")).to_have_attribute("type", "text")
    keyboard.press("Space")
    expect(page.locator("#new_password")).to_have_attribute("type", "password")
    keyboard.press("Tab")
    expect(page.get_by_role("button")).to_be_focused()
    keyboard.press("Enter")
    expect_end(page, "Your new password is set")


def test_it_opens_another_link_over_a_spent_one(site, alice, open_page) -> None:
    page = open_page(f"{site.url}/verify-email#{'A' * 64}")
    submit(page, password=PASSWORD)
    expect_end(page, "This link is not good any more")
    link = site.letter(alice.email, "Verify your email address").link
    page.evaluate("fragment => { location.hash = fragment }", urlsplit(link).fragment)
    submit(page, password=PASSWORD)
    expect_end(page, "Your address is verified")
