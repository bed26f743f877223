"""The pages about the API keys of an account."""

from collections.abc import Callable

import pytest
from flask import Flask

from authserve.core.key_text import is_key_text
from tests.support.api_keys import give_api_key
from tests.support.browsing import Visit
from tests.support.clients import Caller
from tests.support.rows import audit_trail, change_user

KEYS, NEW = "/account/keys", "/account/keys/new"

REPORT = {"name": "Nightly report", "days": "7", "scope.account": "1"}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages and API keys."""
    return make_app(features=("pages", "api-keys"))


@pytest.fixture
def signed_in(app: Flask, alice: Caller, visit: Visit) -> Visit:
    """The browser of Alice, whose address is verified."""
    change_user(app, alice.id, email_verified=True)
    visit.sign_in()
    return visit


def test_a_key_is_made_shown_once_and_revoked(app: Flask, alice: Caller, signed_in: Visit) -> None:
    assert "You have no API keys." in signed_in.open(KEYS).text
    shown = signed_in.fill(NEW, **REPORT)
    assert shown.status == 200
    key = shown.tree.findtext(".//*[@id='key']/li/code") or ""
    assert is_key_text(key, "ask_")
    headers = {"Authorization": f"Bearer {key}"}
    assert app.test_client().get("/api/v1/users/me", headers=headers).status_code == 200
    listed = signed_in.open(KEYS)
    assert key not in listed.text
    assert "Nightly report" in listed.text
    assert f"Ends in {key[-4:]}" in listed.text
    (event,) = audit_trail(app, "api_key.created")
    assert event["details"]["scopes"] == ["account"]
    path = f"{KEYS}/{event['details']['key_id']}/revoke"
    revoked = signed_in.follow(signed_in.send(path, listed.form(path)))
    assert "The key is revoked." in revoked.text
    again = signed_in.follow(signed_in.send(path, listed.form(path)))
    assert "The key is revoked." not in again.text


def test_it_offers_what_the_person_holds(app: Flask, admin: Caller, visit: Visit) -> None:
    change_user(app, admin.id, email_verified=True)
    visit.sign_in("admin")
    form = visit.open(NEW)
    assert 'name="scope.users:read"' in form.html
    fields = {"name": "Report", "days": "90", "scope.users:read": "1"}
    assert visit.fill(NEW, **fields).status == 200
    (event,) = audit_trail(app, "api_key.created")
    assert event["details"]["scopes"] == ["users:read"]


def test_a_plain_person_is_offered_the_account_alone(app: Flask, signed_in: Visit) -> None:
    form = signed_in.open(NEW)
    assert form.html.count('name="scope.') == 1
    assert signed_in.fill(NEW, **REPORT, **{"scope.users:read": "1"}).status == 403
    assert audit_trail(app, "api_key.created") == []


def test_the_form_names_what_is_missing(app: Flask, alice: Caller, signed_in: Visit) -> None:
    shown = signed_in.fill(NEW, days="7")
    assert shown.status == 422
    assert shown.fault("name") == "Fill this in."
    assert "Choose at least one." in shown.text
    change_user(app, alice.id, email_verified=False)
    shown = signed_in.fill(NEW, **REPORT)
    assert shown.status == 422
    assert "Verify your email address first" in shown.text
    change_user(app, alice.id, email_verified=True)
    for _ in range(50):
        give_api_key(app, alice.id)
    assert "can have 50 API keys" in signed_in.fill(NEW, **REPORT).text


def test_without_the_feature_there_is_no_such_page(make_app: Callable[..., Flask]) -> None:
    client = make_app(features=("pages",)).test_client()
    assert client.get(KEYS, headers={"Accept": "text/html"}).status_code == 404
