"""Passkeys of a real browser, whose virtual authenticators DevTools makes (CDP, WebAuthn)."""

import re
from collections.abc import Callable
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

import config
from tests.browser.authenticator import TIMEOUT_MS, Browser
from tests.browser.conftest import User
from tests.support.clients import PASSWORD
from tests.support.site import Site
from tests.support.tokens import claims_of

API = "/api/v1"

NAME_OF_ERROR = """async ([options, limit]) => {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(options);
  const signal = AbortSignal.timeout(limit);
  return navigator.credentials.create({publicKey, signal}).then(() => "", (error) => error.name);
}"""


@pytest.fixture
def open_browser(site: Site, open_page: Callable[..., Page]) -> Callable[..., Browser]:
    """Open a browser of its own with an authenticator of its own."""
    # No page of the service needs to know passkeys: any of the origin can run a ceremony.
    return lambda **options: Browser(open_page(f"{site.url}/verify-email"), **options)


@pytest.fixture
def browser(open_browser: Callable[..., Browser]) -> Browser:
    """A browser with an authenticator that is bound to its device."""
    return open_browser()


def register(site: Site, user: User, browser: Browser, **body: Any) -> requests.Response:
    """Register a passkey of a user, whose first factor needs a mailed code."""
    answer = user.call("POST", "/users/me/passkeys/options", {}).json()
    body["credential"] = browser.create(answer["public_key"])
    if answer["email_code_required"]:
        body["email_code"] = site.letter(user.email, ENROLLMENT).code
    return user.call("POST", "/users/me/passkeys", body)


ENROLLMENT = "Your code for setting up a second factor"


def sign_in(site: Site, browser: Browser, mediation: str = "optional") -> requests.Response:
    """Sign in with whatever passkey the browser offers."""
    client = site.client()
    options = client.post(f"{API}/auth/passkey/options", json={}).json()["public_key"]
    credential = browser.get(options, mediation)
    return client.post(f"{API}/auth/passkey", json={"credential": credential})


def continue_as(user: User, response: requests.Response) -> None:
    """Let the user go on in another session."""
    assert response.status_code == 200, response.text
    user.headers = {"Authorization": f"Bearer {response.json()['access_token']}"}


def test_a_passkey_is_registered_signs_in_and_is_not_made_twice(
    site: Site, alice: User, browser: Browser
) -> None:
    registered = register(site, alice, browser, name="Laptop")
    assert registered.status_code == 201, registered.text
    assert (registered.json()["synced"], registered.json()["name"]) == (False, "Laptop")
    response = sign_in(site, browser)
    continue_as(alice, response)
    assert alice.call("GET", "/users/me").json()["email"] == alice.email
    (session,) = [
        each for each in alice.call("GET", "/users/me/sessions").json()["items"] if each["current"]
    ]
    assert (session["acr"], session["amr"]) == ("phr", ["pop", "mfa"])
    again = alice.call("POST", "/users/me/passkeys/options", {}).json()["public_key"]
    assert browser.page.evaluate(NAME_OF_ERROR, [again, TIMEOUT_MS]) == "InvalidStateError"


def test_the_module_of_the_documentation_adds_one_and_signs_in(
    site: Site, alice: User, browser: Browser
) -> None:
    page = (config.ROOT / "docs" / "factors.md").read_text(encoding="utf-8")
    (module,) = re.findall(
        r"^```js\n(export class Passkeys.+?)^```$", page, re.DOTALL | re.MULTILINE
    )
    code = module.removeprefix("export ")
    token = alice.headers["Authorization"].removeprefix("Bearer ")

    def run(expression: str, *values: Any) -> Any:
        script = f"async ([base, ...values]) => {{ {code}; const it = new Passkeys(base); "
        return browser.page.evaluate(f"{script} return {expression}; }}", [site.url, *values])

    options = run("it.begin(...values)", token)
    mailed = site.letter(alice.email, ENROLLMENT).code
    made = run("it.add(...values)", token, options, "Laptop", mailed)
    tokens = run("it.signIn()")
    assert made["name"] == "Laptop"
    assert claims_of(tokens["access_token"])["acr"] == "phr"


def test_autofill_signs_in_without_a_name(site: Site, alice: User, browser: Browser) -> None:
    assert register(site, alice, browser).status_code == 201
    continue_as(alice, sign_in(site, browser, "conditional"))
    assert alice.call("GET", "/users/me").json()["email"] == alice.email


def test_a_passkey_completes_a_sign_in_with_a_password(
    site: Site, alice: User, browser: Browser
) -> None:
    assert register(site, alice, browser).status_code == 201
    continue_as(alice, sign_in(site, browser))
    assert alice.call("PUT", "/users/me/mfa", {"enabled": True}).status_code == 200
    client, first = site.client(), alice.login(PASSWORD)
    problem = first.json()
    assert (first.status_code, problem["code"]) == (403, "mfa_required")
    assert problem["methods"] == ["passkey", "recovery_code"]
    body = {"mfa_token": problem["mfa_token"]}
    options = client.post(f"{API}/auth/mfa/passkey-options", json=body).json()["public_key"]
    body["credential"] = browser.get(options)
    continue_as(alice, client.post(f"{API}/auth/mfa/verify", json=body))
    current = next(
        each for each in alice.call("GET", "/users/me/sessions").json()["items"] if each["current"]
    )
    assert (current["acr"], current["amr"]) == ("phr", ["pop", "pwd", "mfa"])


@pytest.mark.parametrize("is_backed_up", [False, True])
def test_a_synced_passkey_is_shown_as_such(
    site: Site, alice: User, open_browser: Callable[..., Browser], is_backed_up: bool
) -> None:
    browser = open_browser(defaultBackupEligibility=True, defaultBackupState=is_backed_up)
    assert register(site, alice, browser).json()["synced"] is is_backed_up
    assert sign_in(site, browser).status_code == 200


def clone(browser: Browser, other: Browser, *, sign_count: int) -> None:
    """Copy the passkey of a browser to another one, with a counter of an earlier time."""
    (credential,) = browser.credentials()
    other.put({**credential, "signCount": sign_count})


def test_a_copy_with_an_earlier_counter_is_refused_and_its_owner_told(
    site: Site, alice: User, browser: Browser, open_browser: Callable[..., Browser]
) -> None:
    assert register(site, alice, browser, name="Phone").status_code == 201
    for _ in range(2):
        continue_as(alice, sign_in(site, browser))
    thief = open_browser()
    clone(browser, thief, sign_count=0)
    refused = sign_in(site, thief)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_passkey")
    (shown,) = alice.call("GET", "/users/me/passkeys").json()["items"]
    assert (shown["usable"], shown["clone_suspected"]) == (False, True)
    assert "Phone" in site.letter(alice.email, FLAGGED).text
    assert sign_in(site, browser).status_code == 401
    path = f"/users/me/passkeys/{shown['id']}"
    assert alice.call("PATCH", path, {"clone_suspected": False}).status_code == 200
    assert sign_in(site, browser).status_code == 200


FLAGGED = "A passkey of your account was blocked"


def test_the_counter_of_a_synced_passkey_may_fall_back(
    site: Site, alice: User, open_browser: Callable[..., Browser]
) -> None:
    first, second = (
        open_browser(defaultBackupEligibility=True, defaultBackupState=True) for _ in range(2)
    )
    assert register(site, alice, first).status_code == 201
    for _ in range(2):
        assert sign_in(site, first).status_code == 200
    clone(first, second, sign_count=0)
    assert sign_in(site, second).status_code == 200


def test_an_authenticator_that_verifies_no_user_makes_none(
    alice: User, open_browser: Callable[..., Browser]
) -> None:
    browser = open_browser(hasUserVerification=False, isUserVerified=False)
    options = alice.call("POST", "/users/me/passkeys/options", {}).json()["public_key"]
    name = browser.page.evaluate(NAME_OF_ERROR, [options, 2_000])
    assert name in ("TimeoutError", "AbortError", "NotAllowedError")
    assert browser.credentials() == []


def test_a_page_of_another_site_gets_no_passkey(
    site: Site, alice: User, chromium: Chromium
) -> None:
    """Not even one at the same machine's address: the browser compares the RP ID."""
    with chromium.new_context() as context:
        page = context.new_page()
        page.goto(f"{site.url}/verify-email".replace("localhost", "127.0.0.1"))
        browser = Browser(page)
        options = alice.call("POST", "/users/me/passkeys/options", {}).json()["public_key"]
        assert page.evaluate(NAME_OF_ERROR, [options, TIMEOUT_MS]) == "SecurityError"
        assert browser.credentials() == []
