"""Second factors and passkeys at the sign-in, in a real browser and by keyboard."""

import base64
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Page, expect

from tests.browser.authenticator import Browser
from tests.browser.people import Person, check_page
from tests.support.site import Site, running_site
from tests.support.totp import STEP, code_at

ENROLLMENT = "Your code for setting up a second factor"

KEY = base64.b64encode(
    ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
).decode()

FOREIGN = {
    "credentialId": "AAECAwQFBgcICQoLDA0ODw==",
    "isResidentCredential": True,
    "rpId": "localhost",
    "userHandle": "AAECAwQFBgcICQoLDA0ODw==",
    "privateKey": KEY,
    "signCount": 0,
}
"""A passkey of which the service knows nothing."""

REFUSE = """
navigator.credentials.get = () => Promise.reject(new DOMException("", "NotAllowedError"));
"""
"""A browser whose person cancels each question for a passkey."""


@pytest.fixture(scope="module")
def site_with_pages(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The service with pages, where every account needs a second factor."""
    settings = {"FEATURES": "pages", "BRAND_NAME": "Larkspur", "MFA": "required"}
    folder = tmp_path_factory.mktemp("site-with-factors")
    with running_site(sqlite_template, folder, **settings) as site:
        yield site


@pytest.fixture
def ada(make_person: Callable[..., Person]) -> Person:
    """A person with an account; colours change at once, so that no check meets them half-way."""
    return make_person(reduced_motion="reduce")


def expect_heading(page: Page, text: str) -> None:
    """Wait for the page with this heading, and check it in both themes."""
    expect(page.get_by_role("heading", level=1)).to_have_text(text)
    for scheme in ("dark", "light"):
        page.emulate_media(color_scheme=scheme)
        check_page(page)


def press(page: Page, role: str, name: str) -> None:
    """Press a button or follow a link by keyboard."""
    page.get_by_role(role, name=name).focus()
    page.keyboard.press("Enter")


def sign_out(person: Person) -> None:
    """Sign out on the page of the account."""
    press(person.page, "button", "Sign out")
    expect(person.page.get_by_role("heading", level=1)).to_have_text("You are signed out")


def test_an_app_is_set_up_and_its_codes_sign_in(ada: Person) -> None:
    ada.sign_in()
    expect_heading(ada.page, "Add a second step")
    press(ada.page, "button", "An authenticator app")
    expect_heading(ada.page, "Set up your authenticator app")
    secret = ada.page.locator("[name=secret]").get_attribute("value")
    begun_at = datetime.now(UTC)
    ada.type(code_at(secret, begun_at), ada.site.letter(ada.email, ENROLLMENT).code)
    expect_heading(ada.page, "Save your recovery codes")
    expect(ada.page.locator("#codes li")).to_have_count(10)
    press(ada.page, "button", "Copy")
    expect(ada.page.get_by_role("button", name="Copied")).to_be_visible()
    press(ada.page, "link", "I have saved them")
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your account")
    sign_out(ada)
    ada.sign_in()
    expect_heading(ada.page, "Enter your code")
    ada.type("000000")
    expect(ada.page.get_by_text("4 tries are left.")).to_be_visible()
    check_page(ada.page)
    # The step of the first code is spent.
    ada.type(code_at(secret, begun_at + STEP))
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your account")


def test_a_passkey_is_set_up_and_signs_in_by_autofill_and_by_button(ada: Person) -> None:
    browser = Browser(ada.page)
    ada.sign_in()
    press(ada.page, "link", "A passkey")
    expect_heading(ada.page, "Set up a passkey")
    ada.type(ada.site.letter(ada.email, ENROLLMENT).code)
    expect_heading(ada.page, "Save your recovery codes")
    press(ada.page, "link", "I have saved them")
    sign_out(ada)
    # The authenticator takes the browser's offer by itself.
    ada.open("/sign-in")
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your account")
    sign_out(ada)
    browser.set_presence(False)
    ada.open("/sign-in")
    expect(ada.page.get_by_label("Email address or username")).to_be_focused()
    browser.set_presence(True)
    # The offer has begun without its person, and goes on waiting.
    press(ada.page, "button", "Sign in with a passkey")
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Your account")


def test_a_passkey_that_the_service_does_not_know_is_told_and_forgotten(ada: Person) -> None:
    browser = Browser(ada.page)
    ada.open("/sign-in")
    browser.put(FOREIGN)
    ada.open("/sign-in")
    expect(ada.page.get_by_role("alert")).to_contain_text("Your device knows no passkey")
    expect(ada.page.get_by_role("alert")).to_be_focused()
    assert browser.credentials() == []


def test_a_cancelled_question_says_what_to_do_and_a_cancelled_offer_nothing(ada: Person) -> None:
    ada.page.add_init_script(REFUSE)
    ada.open("/sign-in")
    expect(ada.page.get_by_label("Email address or username")).to_be_focused()
    expect(ada.page.get_by_role("alert")).to_have_count(0)
    press(ada.page, "button", "Sign in with a passkey")
    alert = ada.page.get_by_role("alert")
    expect(alert).to_have_text("The passkey was not used. Try again, or choose another way.")
    expect(alert).to_be_focused()
    check_page(ada.page)
    # The password still works.
    ada.sign_in()
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Add a second step")


def test_options_are_renewed_at_three_quarters_of_their_life(ada: Person) -> None:
    ada.page.clock.install()
    ada.open("/sign-in")
    form = ada.page.locator("[data-passkey]")
    expect(form).to_be_visible()
    before = form.get_attribute("data-options")
    asked: list[str] = []
    ada.page.on("request", lambda request: asked.append(request.url))
    ada.page.clock.fast_forward(224_000)
    assert asked == []
    ada.page.clock.fast_forward(1_000)
    expect(form).not_to_have_attribute("data-options", before or "")
    assert asked == [f"{ada.site.url}/sign-in/passkey-options"]


def test_without_script_codes_work_and_passkeys_say_why_not(
    make_person: Callable[..., Person],
) -> None:
    ada = make_person(java_script_enabled=False)
    ada.sign_in()
    expect(ada.page.get_by_text("Sign in with a passkey")).to_have_count(0)
    press(ada.page, "link", "A passkey")
    expect(ada.page.get_by_text("Passkeys need a recent browser")).to_be_visible()
    expect(ada.page.get_by_role("button", name="Make the passkey")).to_have_count(0)
    press(ada.page, "link", "Use something else")
    press(ada.page, "button", "An authenticator app")
    secret = ada.page.locator("[name=secret]").get_attribute("value")
    code = ada.site.letter(ada.email, ENROLLMENT).code
    ada.type(code_at(secret, datetime.now(UTC)), code)
    expect(ada.page.get_by_role("heading", level=1)).to_have_text("Save your recovery codes")
    expect(ada.page.get_by_role("button", name="Copy")).to_have_count(0)


def test_long_texts_from_right_to_left_fit_a_small_window(
    make_person: Callable[..., Person],
) -> None:
    ada = make_person(viewport={"width": 320, "height": 800})
    query = "?lang=qps-plocm"
    ada.open(f"/sign-in/second-step/help{query}")
    expect_fit(ada.page)
    ada.sign_in(path=f"/sign-in{query}")
    ada.page.wait_for_url("**/sign-in/set-up**")
    expect_fit(ada.page)
    ada.page.locator("[href*='method=passkey']").click()
    ada.page.wait_for_url("**method=passkey**")
    expect_fit(ada.page)
    ada.page.go_back()
    ada.page.locator(".ways button").click()
    expect(ada.page.locator(".qr")).to_be_visible()
    expect_fit(ada.page)


def expect_fit(page: Page) -> None:
    """Check that the page is from right to left and no wider than the window."""
    assert page.locator("html").get_attribute("dir") == "rtl"
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, page.url
