"""The account in a real browser, by keyboard: a proof given again, the address, the password."""

import sqlite3
from contextlib import closing
from datetime import timedelta

from playwright.sync_api import expect

from authserve.core.clock import now
from tests.browser.people import Person, check_page
from tests.support.clients import PASSWORD
from tests.support.server import Server

NEW_PASSWORD = "another horse, another staple"

FRESH_IS_OVER = timedelta(minutes=6)


def age_last_proof(site: Server) -> None:
    """Let the last proof of every session be too old for what can change access."""
    path = site.environ["DATABASE_URL"].removeprefix("sqlite:///")
    earlier = (now() - FRESH_IS_OVER).replace(tzinfo=None).isoformat(" ", "microseconds")
    with closing(sqlite3.connect(path, timeout=60)) as connection, connection:
        connection.execute("UPDATE sessions SET auth_time = ?", (earlier,))


def follow_link(ada: Person, name: str) -> None:
    """Follow a link of the page by keyboard."""
    ada.page.get_by_role("link", name=name).focus()
    ada.page.keyboard.press("Enter")


def type_into(ada: Person, field: str, text: str) -> None:
    """Type into a field, and press Enter."""
    ada.page.get_by_label(field, exact=True).focus()
    ada.page.keyboard.insert_text(text)
    ada.page.keyboard.press("Enter")


def test_a_person_changes_address_and_password_by_keyboard(ada: Person) -> None:
    heading = ada.page.get_by_role("heading", level=1)
    ada.sign_in()
    expect(heading).to_have_text("Your account")
    age_last_proof(ada.site)

    follow_link(ada, "Profile")
    follow_link(ada, "Change address")
    expect(heading).to_have_text("Confirm it is you")
    ada.type("a wrong password 12")
    expect(ada.page.get_by_label("Password", exact=True)).to_be_focused()
    expect(ada.page.get_by_text("The password is wrong.")).to_be_visible()
    ada.type(PASSWORD)
    expect(heading).to_have_text("Email address")
    type_into(ada, "New email address", f"new-{ada.email}")
    expect(ada.page.get_by_role("status")).to_contain_text(f"new-{ada.email}")

    follow_link(ada, "Password")
    ada.page.get_by_label("Current password", exact=True).focus()
    ada.page.keyboard.insert_text(PASSWORD)
    type_into(ada, "New password", NEW_PASSWORD)
    expect(ada.page.get_by_role("status")).to_contain_text("Your new password is set.")

    # A page that was open before goes on: its cookie is the newer one.
    ada.page.go_back()
    follow_link(ada, "Your data")
    expect(heading).to_have_text("Your data")
    with ada.page.expect_download() as download:
        ada.page.get_by_role("button", name="Download").focus()
        ada.page.keyboard.press("Enter")
    assert download.value.suggested_filename == "account.json"
    # The button works again, since the page is still there.
    with ada.page.expect_download():
        ada.page.keyboard.press("Enter")

    follow_link(ada, "Delete the account")
    type_into(ada, "Type your email address", ada.email)
    expect(heading).to_have_text("Your account is deleted")
    ada.page.go_back()
    expect(heading).to_have_text("Sign in")


def test_a_stranger_is_signed_out_by_keyboard(ada: Person) -> None:
    heading = ada.page.get_by_role("heading", level=1)
    ada.sign_in()
    expect(heading).to_have_text("Your account")
    body = {"identifier": ada.email, "password": PASSWORD}
    tokens = ada.site.client().post("/api/v1/auth/login", json=body).json()

    ada.page.reload()
    check_page(ada.page)
    # The second button of its form: the script sends what was pressed, and once.
    ada.page.get_by_role("button", name="It was not me").focus()
    ada.page.keyboard.press("Enter")
    expect(heading).to_have_text("Password")
    expect(ada.page.get_by_role("status")).to_contain_text("That session is signed out.")
    token = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert ada.site.client().get("/api/v1/users/me", headers=token).status_code == 401

    ada.page.get_by_label("Current password", exact=True).focus()
    ada.page.keyboard.insert_text(PASSWORD)
    type_into(ada, "New password", NEW_PASSWORD)
    expect(heading).to_have_text("Sessions")
    follow_link(ada, "Overview")
    expect(ada.page.get_by_role("button", name="It was not me")).to_have_count(0)
