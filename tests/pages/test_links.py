"""The pages behind mailed links: their forms, without script and with it."""

from collections.abc import Callable

import pytest
from flask import Flask

from authserve.auth.first_administrator import make_first_link
from authserve.verification.requests import invite
from tests.factories import make_user
from tests.support.browsing import Visit
from tests.support.clients import PASSWORD, Caller, login
from tests.support.mail import Mailbox, open_mailbox, work

NEW_PASSWORD = "another horse, another staple"

DEAD = "This link is no longer valid."


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


def link_to(app: Flask, mailbox: Mailbox, address: str = "alice@example.com") -> str:
    """Deliver what is owed, and return the newest link to an address."""
    work(app)
    letters = [letter for letter in mailbox.to(address) if "#" in letter.text]
    return letters[-1].link


def test_an_address_is_verified_with_the_password(
    app: Flask, visit: Visit, mailbox: Mailbox, alice: Caller
) -> None:
    link = link_to(app, mailbox)
    wrong = visit.fill("/verify-email", link_token=link, password="wrong password 12")
    assert (wrong.status, "Your link is still valid" in wrong.fault("password")) == (422, True)
    assert wrong.form()["link_token"] == link
    missing = visit.fill("/verify-email", link_token=link)
    assert missing.fault("password")
    shown = visit.fill("/verify-email", link_token=link, password=PASSWORD)
    assert shown.title.startswith("Your address is verified")
    assert visit.cookie() is None
    assert alice.get("/api/v1/users/me").get_json()["email_verified"] is True
    dead = visit.fill("/verify-email", link_token=link, password=PASSWORD)
    assert dead.alert.startswith(DEAD)
    assert 'href="/verify-email/resend"' in dead.html


def test_its_signed_in_owner_needs_no_password(
    app: Flask, visit: Visit, mailbox: Mailbox, alice: Caller
) -> None:
    visit.sign_in()
    shown = visit.fill("/verify-email", link_token=link_to(app, mailbox))
    assert shown.title.startswith("Your address is verified")


def test_another_user_who_is_signed_in_cannot(
    app: Flask, visit: Visit, mailbox: Mailbox, alice: Caller, bob: Caller
) -> None:
    visit.sign_in("bob")
    assert visit.fill("/verify-email", link_token=link_to(app, mailbox)).alert.startswith(DEAD)


@pytest.mark.parametrize(
    "paste",
    [
        lambda link: link,
        lambda link: f"  {link}\n",
        lambda link: link.replace("#", "%23"),
        lambda link: link.partition("#")[2],
    ],
)
def test_the_whole_link_can_be_pasted(
    app: Flask, visit: Visit, mailbox: Mailbox, alice: Caller, paste: Callable[[str], str]
) -> None:
    visit.fill("/forgot-password", email="alice@example.com")
    link = paste(link_to(app, mailbox))
    shown = visit.fill("/reset-password", link_token=link, new_password=NEW_PASSWORD)
    assert shown.title.startswith("Your new password is set")
    assert login(app.test_client(), "alice", NEW_PASSWORD).status_code == 200


def test_a_reset_signs_everyone_out_and_knows_the_browser(
    app: Flask, visit: Visit, mailbox: Mailbox, alice: Caller
) -> None:
    visit.sign_in()
    visit.fill("/forgot-password", email="alice@example.com")
    link = link_to(app, mailbox)
    before = visit.cookie("authserve-device")
    shown = visit.fill("/reset-password", link_token=link, new_password="password1")
    assert "most common" in shown.fault("new_password")
    shown = visit.fill("/reset-password", link_token=link, new_password=NEW_PASSWORD)
    assert 'href="/sign-in"' in shown.html
    assert visit.open("/account").status == 303
    assert alice.get("/api/v1/users/me").status_code == 401
    assert visit.cookie("authserve-device") != before
    assert visit.sign_in(password=NEW_PASSWORD).title.startswith("Your account")


def test_a_new_address_is_confirmed(
    app: Flask, visit: Visit, mailbox: Mailbox, alice: Caller
) -> None:
    body = {"new_email": "liddell@example.com"}
    assert alice.post("/api/v1/users/me/email", json=body).status_code == 202
    link = link_to(app, mailbox, "liddell@example.com")
    shown = visit.fill("/confirm-email", link_token=link, password=PASSWORD)
    assert shown.title.startswith("Your address is changed")
    assert alice.get("/api/v1/users/me").get_json()["email"] == "liddell@example.com"


def test_an_invitation_is_accepted(
    app: Flask, visit: Visit, mailbox: Mailbox, alice: Caller
) -> None:
    with app.app_context():
        invite(make_user("dora"), "dora@example.com")
    link = link_to(app, mailbox, "dora@example.com")
    fields = {"link_token": link, "password": NEW_PASSWORD, "display_name": "Dora"}
    taken = visit.fill("/accept-invitation", **fields, username="alice")
    assert "Another user has this name." in taken.fault("username")
    shown = visit.fill("/accept-invitation", **fields)
    assert shown.title.startswith("Your account is ready")
    assert visit.sign_in("dora", NEW_PASSWORD).title.startswith("Your account")


def test_the_first_administrator_is_made_once(app: Flask, visit: Visit) -> None:
    with app.app_context():
        link = make_first_link()
    fields = {"link_token": link, "email": "ada@example.com", "password": NEW_PASSWORD}
    page = visit.open("/first-administrator").form("/first-administrator")
    answer = visit.send("/first-administrator", {**page, **fields})
    assert (answer.status, answer.headers["Referrer-Policy"]) == (303, "no-referrer")
    assert visit.follow(answer).title.startswith("The first administrator is ready")
    dead = visit.fill("/first-administrator", **fields)
    assert "or there is an account already" in dead.alert
    visit.sign_in("ada@example.com", NEW_PASSWORD)
    tokens = login(app.test_client(), "ada@example.com", NEW_PASSWORD).get_json()
    headers = {"Authorization": f"Bearer {tokens['access_token']}"}
    me = app.test_client().get("/api/v1/users/me", headers=headers).get_json()
    assert (me["roles"], me["email_verified"]) == (["admin", "user"], True)


@pytest.mark.parametrize("path", ["/verify-email", "/reset-password", "/accept-invitation"])
def test_opening_a_link_changes_nothing(
    app: Flask, visit: Visit, mailbox: Mailbox, alice: Caller, path: str
) -> None:
    visit.fill("/forgot-password", email="alice@example.com")
    token = link_to(app, mailbox).partition("#")[2]
    for target in (path, f"{path}?link_token={token}", f"{path}%23{token}"):
        visit.open(target)
    shown = visit.fill("/reset-password", link_token=token, new_password=NEW_PASSWORD)
    assert shown.title.startswith("Your new password is set")


def test_an_escaped_fragment_is_led_to_the_page(visit: Visit) -> None:
    shown = visit.open(f"/verify-email%23{'a' * 64}")
    assert (shown.status, shown.location) == (303, f"/verify-email#{'a' * 64}")
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert visit.open("/verify-email%23<script>").location == "/verify-email"


def test_no_link_makes_the_page_say_that_it_is_done(visit: Visit) -> None:
    assert visit.open("/reset-password?notice=x").title.startswith("Choose a new password")
