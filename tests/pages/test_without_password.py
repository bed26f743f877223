"""What pages tell a person whose account has no password."""

from collections.abc import Callable

import pytest
from flask import Flask

from authserve.web.sign_in_providers import SIGN_IN_PROVIDERS, SignInProvider
from tests.support.browsing import Visit
from tests.support.clients import register_caller
from tests.support.factors import give_totp
from tests.support.rows import change_session, change_user

METHODS = "/account/sign-in-methods"

PATHS = (
    "/account",
    "/account/activity",
    "/account/apps",
    "/account/sessions",
    METHODS,
    f"{METHODS}/passkeys/add",
    f"{METHODS}/totp",
)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every page of the account."""
    return make_app(features=("pages", "oidc"))


def test_no_page_advises_what_only_a_password_allows(app: Flask, visit: Visit) -> None:
    alice = register_caller(app, "alice")
    visit.sign_in()
    change_user(app, alice.id, password_hash=None)
    texts = {"without a factor": [visit.open(path).text for path in PATHS]}
    give_totp(app, alice.id)
    change_session(app, visit.session_id, aal=2)
    paths = (*PATHS[:-2], f"{METHODS}/totp/remove")
    for is_on in (True, False):
        change_user(app, alice.id, mfa_enabled=is_on)
        texts[f"second factor: {is_on}"] = [visit.open(path).text for path in paths]
    for state, found in texts.items():
        for text in found:
            assert "our password" not in text.replace("password manager", ""), (state, text)


@pytest.mark.parametrize("path", ["/verify-email", "/confirm-email"])
def test_a_link_that_asks_for_a_password_has_another_way(app: Flask, path: str) -> None:
    hint = "No password? Sign in first, then open the link once more."
    assert hint not in Visit(app).open(path).text
    google = SignInProvider("google", "Google", opens_accounts=True)
    SIGN_IN_PROVIDERS.fill(app, lambda: (google,))
    assert hint in Visit(app).open(path).text
    assert hint not in Visit(app).open("/reset-password").text
