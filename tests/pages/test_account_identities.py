"""The page of connections with the services by which people sign in."""

from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
import time_machine
from flask import Flask

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.federation.registry import change_provider
from tests.support.browsing import Visit
from tests.support.clients import Caller, register_caller
from tests.support.identities import ensure_provider, fill_identities, give_identity
from tests.support.rows import audit_trail, change_user

PAGE = "/account/apps"

OTHER = "https://id.example.com"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with providers, without apps."""
    return make_app(features=("pages", "federation"))


def unlink_path(identity_id: str) -> str:
    return f"{PAGE}/identities/{identity_id}/unlink"


def disable(app: Flask, slug: str) -> None:
    with app.app_context():
        change_provider(slug, {"enabled": False}, actor=OPERATOR, request=RequestInfo())


def test_without_the_features_there_is_no_page(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",))
    register_caller(app, "alice")
    visit = Visit(app)
    visit.sign_in()
    assert visit.open(PAGE).status == 404
    assert PAGE not in visit.open("/account").html


def test_it_lists_what_is_linked_and_what_can_be(app: Flask, alice: Caller, visit: Visit) -> None:
    visit.sign_in()
    assert "No other service can be linked here." in visit.open(PAGE).text
    give_identity(app, alice.id)
    ensure_provider(app, "work", name="Work", issuer=OTHER)
    shown = visit.open(PAGE)
    assert "alice@gmail.com" in shown.text
    assert "Apps with access" not in shown.text
    assert shown.form("/sign-in/with/work")["purpose"] == "link"
    assert "/sign-in/with/google" not in shown.html
    disable(app, "google")
    disable(app, "work")
    shown = visit.open(PAGE)
    assert "Not offered any more" in shown.text
    assert "/sign-in/with/" not in shown.html


def test_a_full_account_is_offered_no_other(app: Flask, alice: Caller, visit: Visit) -> None:
    visit.sign_in()
    ensure_provider(app, "work", name="Work", issuer=OTHER)
    fill_identities(app, alice.id)
    shown = visit.open(PAGE)
    assert "An account can be linked with ten services." in shown.text
    assert "/sign-in/with/work" not in shown.html


def test_an_identity_is_unlinked(app: Flask, alice: Caller, visit: Visit) -> None:
    mine = give_identity(app, alice.id)
    visit.sign_in()
    path = unlink_path(mine)
    assert path in visit.open(PAGE).html
    asked = visit.open(path)
    assert "Your account alice@gmail.com there no longer opens this account." in asked.text
    done = visit.follow(visit.give(asked))
    assert "The service is unlinked. All other sessions are signed out." in done.text
    assert path not in done.html
    assert len(audit_trail(app, "identity.unlinked")) == 1
    assert visit.open(path).status == 404


def test_the_last_way_in_stays_and_the_page_says_why(
    app: Flask, alice: Caller, visit: Visit
) -> None:
    visit.sign_in()
    change_user(app, alice.id, password_hash=None)
    path = unlink_path(give_identity(app, alice.id))
    refused = visit.give(visit.open(path))
    assert refused.alert == "Nothing else would open this account. Set a password first."
    assert path in visit.open(PAGE).html


def test_another_persons_identity_is_not_found(
    app: Flask, alice: Caller, bob: Caller, visit: Visit
) -> None:
    theirs = give_identity(app, bob.id)
    visit.sign_in()
    assert visit.open(unlink_path(theirs)).status == 404
    assert unlink_path(theirs) not in visit.open(PAGE).html


def test_unlinking_needs_a_recent_proof(
    clock: time_machine.Traveller, app: Flask, alice: Caller, visit: Visit
) -> None:
    mine = give_identity(app, alice.id)
    visit.sign_in()
    clock.shift(timedelta(minutes=5))
    assert urlsplit(visit.open(unlink_path(mine)).location).path == "/account/confirm"


@pytest.mark.parametrize("path", ["/account", "/account/sign-in-methods"])
def test_other_pages_name_the_services(app: Flask, alice: Caller, visit: Visit, path: str) -> None:
    visit.sign_in()
    assert "Other services" not in visit.open(path).text
    give_identity(app, alice.id)
    shown = visit.open(path)
    assert "Other services" in shown.text
    assert "Google" in shown.text
    assert "Connections" in shown.text
