"""A second authserve as the provider, and an app of the first that sends people there."""

import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import time_machine
from flask import Flask
from werkzeug.serving import make_server

from authserve.app import create_app
from authserve.database.transactions import db
from authserve.federation.policy import ProviderRules
from tests.conftest import make_settings
from tests.support.browsing import ORIGIN, Visit
from tests.support.clients import PASSWORD, register_caller
from tests.support.http_browser import HTTPBrowser, find_target
from tests.support.oauth_clients import CALLBACK, give_client
from tests.support.provider_sign_in import LOOPBACK, find_way_on, register_server
from tests.support.providers import HOST
from tests.support.rows import audit_trail, change_user, count_sessions

REDIRECT_URI = f"{ORIGIN}/sign-in/with/work/callback"


class Elsewhere:
    """A second authserve that answers at an address of its own.

    Args:
        app: with the features `pages` and `oidc`; Alice is its user.
    """

    def __init__(self, app: Flask, issuer: str) -> None:
        self.app, self.issuer = app, issuer
        self.browser = HTTPBrowser()

    def answer(self, address: str, consent: str = "allow") -> str:
        """Open its page to authorize, and return the path that it leads back to.

        Alice signs in if she has no session there, and once more if she has to. She is asked for
        her consent each time, since the first service is at a loopback address.
        """
        shown = self.browser.open(address, until=ORIGIN)
        if shown.title.startswith("Sign in"):
            shown = self.browser.sign_in(shown, "alice", until=ORIGIN)
        if shown.title.startswith("Confirm"):
            shown = self.browser.give(shown, until=ORIGIN, password=PASSWORD)
        target = find_target(self.browser.give(shown, until=ORIGIN, answer=consent)) or ""
        assert target.startswith(ORIGIN), shown.html
        return target.removeprefix(ORIGIN)


@contextmanager
def serve(template: Path, folder: Path) -> Iterator[Elsewhere]:
    """Run the second service."""
    shutil.copy(template, folder / "provider.db")
    # The port is a part of the issuer, so the server comes before its application.
    server = make_server(HOST, 0, Flask("later"), threaded=True)
    issuer = f"http://{HOST}:{server.server_port}"
    app = create_app(
        make_settings(
            f"sqlite:///{folder}/provider.db",
            folder,
            features=("pages", "oidc"),
            public_url=issuer,
        )
    )
    server.app = app
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        alice = register_caller(app, "alice")
        # Apps are told verified addresses alone.
        change_user(app, alice.id, email_verified=True)
        yield Elsewhere(app, issuer)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def elsewhere(sqlite_template: Path, tmp_path: Path) -> Iterator[Elsewhere]:
    """The second service, which knows the first as a client of its own."""
    with serve(sqlite_template, tmp_path) as running:
        yield running


@pytest.fixture
def site(make_app: Callable[..., Flask], elsewhere: Elsewhere) -> Flask:
    """The first service, by whose provider people sign in."""
    app = make_app(features=("pages", "oidc", "federation"), outbound_hosts=LOOPBACK)
    created = give_client(
        elsewhere.app,
        "first",
        first_party=True,
        redirect_uris=(REDIRECT_URI,),
        scopes=("openid", "profile", "email"),
    )
    register_server(
        app,
        elsewhere,
        client_id="first",
        secret=created.secret,
        rules=ProviderRules(trusts_email=True),
    )
    return app


def press_button(visit: Visit, **fields: str) -> str:
    """Press the provider's button, and return where the page between leads."""
    answer = visit.send("/sign-in/with/work", fields)
    return find_way_on(visit.open(answer.location))


def test_a_person_signs_in_by_it_and_comes_back_to_the_same_account(
    site: Flask, elsewhere: Elsewhere
) -> None:
    for _ in range(2):
        visit = Visit(site)
        shown = visit.open(elsewhere.answer(press_button(visit)))
        assert (shown.status, shown.location) == (303, "/account")
        assert "alice@example.com" in visit.open("/account").text
    assert len(audit_trail(site, "user.registered")) == 1
    started = audit_trail(site, "session.started")
    assert [event["details"]["provider"] for event in started] == ["work", "work"]
    assert count_sessions(site, revoked_at=None) == 2


def authorize(visit: Visit, elsewhere: Elsewhere, **changes: str) -> str:
    """Come from an app to the second service, and return where the first one leads to then."""
    asked = {
        "response_type": "code",
        "client_id": "wiki",
        "redirect_uri": CALLBACK,
        "scope": "openid email",
        "state": "a state of the app",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
        "idp_hint": "work",
        **changes,
    }
    page = visit.follow(visit.open(f"/oauth/authorize?{urlencode(asked)}"))
    fields = page.form("/sign-in/with/work")
    shown = visit.follow(visit.open(elsewhere.answer(press_button(visit, **fields))))
    # The page between leads to the decision, which leads to the app.
    return visit.open(find_way_on(shown)).location


def test_the_check_tells_a_right_secret_from_a_wrong_one(site: Flask) -> None:
    runner = site.test_cli_runner()
    checked = runner.invoke(args=["providers", "check", "work"])
    assert checked.exit_code == 0, checked.output
    assert "ok       credentials: " in checked.stdout
    options = ("--client-secret-file", "-")
    runner.invoke(args=["providers", "update", "work", *options], input="another")
    checked = runner.invoke(args=["providers", "check", "work"])
    assert checked.exit_code == 1
    assert "FAILURE  credentials: The provider refuses the client or its secret" in checked.stdout


def test_an_app_leads_there_by_its_hint_and_gets_the_person(
    site: Flask, elsewhere: Elsewhere, clock: time_machine.Traveller
) -> None:
    give_client(site, "wiki", first_party=True, scopes=("openid", "email"))
    visit = Visit(site)
    # A person who is signed in is asked again, once, if the app wishes it.
    for wish in ({}, {"prompt": "login"}):
        location = authorize(visit, elsewhere, **wish)
        answer = dict(parse_qsl(urlsplit(location).query))
        assert location.startswith(f"{CALLBACK}?")
        assert answer["state"] == "a state of the app"
        assert answer["code"]
        clock.shift(60)
    # The provider's own session was no new proof for that app.
    assert len(audit_trail(elsewhere.app, "session.reauthenticated")) == 1


def test_a_person_who_says_no_there_is_back_at_the_sign_in_page(
    site: Flask, elsewhere: Elsewhere
) -> None:
    visit = Visit(site)
    shown = visit.follow(visit.open(elsewhere.answer(press_button(visit), "refuse")))
    assert shown.title.startswith("Error: Sign in")
    assert shown.alert == "The sign-in at the other service was cancelled."
    assert visit.cookie() is None
