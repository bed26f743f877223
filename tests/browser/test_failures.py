"""The messages of the pages at a fault of the link, the network or the service."""

import json

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.clients import PASSWORD

TOKEN = "A" * 64

MESSAGE = "#message"

PATHS = ("/verify-email", "/reset-password", "/confirm-email", "/accept-invitation")


def submit(page: Page, password: str = PASSWORD) -> None:
    page.locator("input[autocomplete$=password]").fill(password)
    page.get_by_role("button").click()


def answer(page: Page, status: int, code: str, **more: object) -> None:
    """Let calls of the API be answered so."""
    headers = more.pop("headers", {})
    body = json.dumps({"status": status, "code": code, **more})

    def fulfill(route: Route) -> None:
        route.fulfill(
            status=status, body=body, headers=headers, content_type="application/problem+json"
        )

    page.unroute_all()
    page.route("**/api/v1/**", fulfill)


@pytest.mark.parametrize("path", PATHS)
def test_it_reports_an_incomplete_link(site, open_page, path: str) -> None:
    for fragment in ("", "#", f"#{TOKEN[:-1]}", "#<img src=x onerror=alert(1)>", "#%ff"):
        page = open_page(f"{site.url}{path}{fragment}")
        expect(page.locator("#message h2")).to_have_text("This link is not complete")
        expect(page.locator("form")).to_be_hidden()
        assert page.evaluate("location.href") == f"{site.url}{path}"


@pytest.mark.parametrize("path", PATHS)
def test_it_says_what_to_do_without_scripts(site, open_page, path: str) -> None:
    page = open_page(f"{site.url}{path}#{TOKEN}", java_script_enabled=False)
    words = page.locator("noscript p")
    expect(words).to_be_visible()
    assert "This page needs JavaScript" in words.inner_text()
    expect(page.locator("form")).to_be_hidden()
    expect(page.locator("#loading")).to_be_hidden()


def test_it_says_what_to_do_if_its_script_is_blocked(site, open_page, watch) -> None:
    watch.are_losses_expected = True
    page = open_page()
    page.route("**/pages.js", lambda route: route.abort())
    page.goto(f"{site.url}/reset-password#{TOKEN}")
    expect(page.get_by_text("If no form appears")).to_be_visible()
    expect(page.locator("form")).to_be_hidden()


def test_it_can_be_read_without_its_style(site, open_page, watch) -> None:
    watch.are_losses_expected = True
    page = open_page()
    page.route("**/pages.css", lambda route: route.abort())
    page.goto(f"{site.url}/reset-password#{TOKEN}")
    expect(page.get_by_label("New password")).to_be_visible()
    expect(page.locator("#loading")).to_be_hidden()


def test_it_says_how_long_to_wait_after_wrong_passwords(site, alice, open_page) -> None:
    page = open_page(site.letter(alice.email, "Verify your email address").link)
    for _ in range(5):
        submit(page, "not the password")
        expect(page.locator("#password-faults")).to_contain_text("The password is wrong.")
        expect(page.get_by_role("button")).to_have_attribute("aria-disabled", "false")
    submit(page, "not the password")
    expect(page.locator(f"{MESSAGE} h2")).to_have_text("There were too many attempts")
    expect(page.locator(MESSAGE)).to_contain_text("seconds, then press the button once more")
    expect(page.locator(MESSAGE)).to_be_focused()
    expect(page.locator("#password-faults li")).to_have_count(0)


@pytest.mark.parametrize(
    ("seconds", "words"), [("1", "1 second,"), ("89", "89 seconds,"), ("121", "3 minutes,")]
)
def test_it_says_how_long_to_wait_for_a_busy_service(
    site, open_page, seconds: str, words: str
) -> None:
    page = open_page(f"{site.url}/reset-password#{TOKEN}")
    answer(page, 503, "busy", headers={"Retry-After": seconds})
    submit(page)
    expect(page.locator(f"{MESSAGE} h2")).to_have_text("The service is busy")
    expect(page.locator(MESSAGE)).to_contain_text(f"Wait {words}")


def test_it_continues_when_the_network_is_back(site, alice, open_page, watch) -> None:
    watch.are_losses_expected = True
    page = open_page(site.letter(alice.email, "Verify your email address").link)
    page.route("**/api/v1/**", lambda route: route.abort("internetdisconnected"))
    submit(page)
    expect(page.locator(f"{MESSAGE} h2")).to_have_text("No answer came")
    expect(page.locator(MESSAGE)).to_be_focused()
    page.unroute_all()
    page.get_by_role("button").click()
    expect(page.locator(f"{MESSAGE} h2")).to_have_text("Your address is verified")


def test_it_names_a_reference_for_an_unexpected_error(site, open_page) -> None:
    page = open_page(f"{site.url}/reset-password#{TOKEN}")
    answer(page, 500, "internal_error", headers={"X-Correlation-ID": "abc-123"})
    submit(page)
    expect(page.locator(f"{MESSAGE} h2")).to_have_text("Something went wrong")
    expect(page.locator(MESSAGE)).to_contain_text("Reference: abc-123")


def test_it_copes_with_what_is_no_json(site, open_page) -> None:
    page = open_page(f"{site.url}/reset-password#{TOKEN}")
    page.route("**/api/v1/**", lambda route: route.fulfill(status=502, body="<h1>Bad Gateway"))
    submit(page)
    expect(page.locator(f"{MESSAGE} h2")).to_have_text("The service is busy")


def test_it_inserts_text_and_never_elements(site, open_page) -> None:
    page = open_page(f"{site.url}/reset-password#{TOKEN}")
    text = "<img src=x onerror=alert(1)>"
    answer(page, 422, "validation_failed", errors={"new_password": [text, "And this."]})
    submit(page)
    expect(page.locator("#new_password-faults li").first).to_have_text(text)
    assert page.locator("img").count() == 0


def test_it_sends_once_however_often_the_button_is_pressed(site, open_page, watch) -> None:
    page = open_page(f"{site.url}/reset-password#{TOKEN}")
    held: list[Route] = []
    page.route("**/api/v1/**", lambda route: held.append(route))
    field = page.get_by_label("New password")
    field.fill(PASSWORD)
    page.get_by_label("Show password").check()
    page.get_by_role("button").dblclick()
    expect(page.get_by_role("button")).to_have_attribute("aria-disabled", "true")
    # Browsers remember what is sent in a field of plain text.
    expect(field).to_have_attribute("type", "password")
    field.press("Enter")
    field.press("Enter")
    page.wait_for_timeout(200)
    assert len(held) == 1
    held[0].continue_()
    expect(page.locator(f"{MESSAGE} h2")).to_have_text("This link is not good any more")
    assert len([url for url in watch.requests if "/api/v1/" in url]) == 1


def test_it_sends_no_form_by_itself(site, open_page, watch) -> None:
    """Were the script to fail half-way, the policy would keep the password in the page."""
    page = open_page(f"{site.url}/reset-password#{TOKEN}")
    page.get_by_label("New password").fill(PASSWORD)
    page.evaluate("document.querySelector('form').submit()")
    page.wait_for_timeout(200)
    assert [c for c in watch.complaints if "form-action" in c]
    watch.complaints.clear()
    assert not [url for url in watch.requests if PASSWORD.split()[0] in url]
    assert page.url == f"{site.url}/reset-password"
