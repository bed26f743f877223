"""Pages keep their layout in longer languages, and in one that runs from right to left."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.people import Person

PUBLIC = (
    "/sign-in",
    "/sign-up",
    "/forgot-password",
    "/reset-password",
    "/accept-invitation",
    "/signed-out",
    "/nowhere",
)

OWN = (
    "/account",
    "/account/profile",
    "/account/email",
    "/account/password",
    "/account/sign-in-methods",
    "/account/sign-in-methods/totp",
    "/account/sessions",
    "/account/sessions/end-all",
    "/account/activity",
    "/account/data",
    "/account/data/delete",
    "/sign-out",
)


@pytest.mark.parametrize("language", ["qps", "qps-plocm"])
def test_every_page_fits_a_narrow_window(make_person: Callable[..., Person], language: str) -> None:
    ada = make_person(viewport={"width": 320, "height": 844})
    page = ada.page
    page.context.add_cookies([{"name": "authserve-lang", "value": language, "url": ada.site.url}])
    for path in PUBLIC:
        check_width(ada, path, language)
    ada.sign_in()
    page.wait_for_url("**/account")
    for path in OWN:
        check_width(ada, path, language)


def check_width(ada: Person, path: str, language: str) -> None:
    """Open a page and check that it needs no scrolling sideways."""
    ada.open(path)
    page = ada.page
    assert page.locator("html").get_attribute("lang") == language, path
    assert page.evaluate("document.documentElement.scrollWidth") <= 320, path


def test_the_switch_works_by_keyboard(ada: Person) -> None:
    ada.open("/sign-in")
    button = ada.page.get_by_role("button", name="Deutsch")
    button.focus()
    ada.page.keyboard.press("Enter")
    ada.page.wait_for_function("document.documentElement.lang === 'de'")
    ada.sign_in()
    ada.page.wait_for_url("**/account")
    assert ada.page.locator("html").get_attribute("lang") == "de"


@pytest.mark.parametrize(
    ("locale", "form"),
    [
        ("en-US", r"[A-Z][a-z]+ \d+, \d{4}, \d+:\d\d\s[AP]M"),
        ("en-GB", r"\d+ [A-Z][a-z]+ \d{4}, \d\d:\d\d"),
        ("de-AT", r"\d\d\.\d\d\.\d{4}, \d\d:\d\d"),
    ],
)
def test_times_have_the_form_of_the_readers_region(
    make_person: Callable[..., Person], locale: str, form: str
) -> None:
    ada = make_person(locale=locale)
    ada.open("/sign-in")
    ada.sign_in()
    ada.page.wait_for_url("**/account")
    for time in ada.page.locator("time").all():
        expect(time).to_have_text(re.compile(f"^{form}$"))
    assert ada.page.locator("time").count() > 1
