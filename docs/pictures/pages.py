"""Pictures of every page, for a person who changes their looks to compare."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from flask import Flask
from playwright.sync_api import Browser, Page

from authserve.app import create_app
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.federation.presets import Preset
from authserve.sessions.listing import find_own_sessions
from authserve.users.accounts import ref_of
from authserve.users.email_changes import verify_email
from authserve.users.lookup import get_user_by_reference
from docs.pictures.browser import THEMES, WIDTHS_PX, shoot, sign_in
from tests.conftest import make_settings
from tests.support.clients import PASSWORD
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.identity_providers import give_provider
from tests.support.oauth_clients import allow_client, give_client
from tests.support.passkeys import give_passkey
from tests.support.site import Site
from tests.support.totp import code_at

EMAIL = "ada@example.com"

FEATURES = ("pages", "oidc", "api-keys", "federation")
"""The features whose pages are shown."""

AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) Version/18.6 Mobile/15E148 Safari/604",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/142.0.0.0 Safari/537.36",
)
"""The `User-Agent` of the person's browsers; the pictures are made in the first."""

MISTAKES = {
    "/sign-in": {"identifier": EMAIL, "password": "a wrong password 12"},
    "/sign-up": {"email": "ada@", "password": "ada"},
}
"""Forms that are refused, by path."""


class Album:
    """A folder of pictures: each page at both widths and in both themes."""

    def __init__(self, site: Site, folder: Path) -> None:
        self._url = site.url
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, page: Page, name: str = "", *, widths: Sequence[int] = WIDTHS_PX) -> None:
        """Write the pictures of the open page; its name is that of its path."""
        name = name or urlsplit(page.url).path.strip("/").replace("/", "-")
        for width, theme in product(widths, THEMES):
            picture = shoot(page, theme=theme, width=width)
            (self._folder / f"{name}-{width}-{theme}.png").write_bytes(picture)

    def add_paths(self, page: Page, paths: list[str]) -> None:
        """Open each path, and write its pictures unless it leads to another page."""
        for width, path in product(WIDTHS_PX, paths):
            # The script places the tabs when the page is loaded.
            page.set_viewport_size({"width": width, "height": 200})
            answer = page.goto(self._url + path)
            is_page = answer is not None and "html" in answer.headers["content-type"]
            if is_page and urlsplit(page.url).path == path:
                self.add(page, widths=(width,))


def write_pages(browser: Browser, site: Site, language: str, folder: Path) -> None:
    """Write every page as a visitor, a person signing in, and a signed-in person see it."""
    app = create_app(make_settings(site.environ["DATABASE_URL"], folder.parent, features=FEATURES))
    for slug in ("google", "github", "gitlab"):
        give_provider(app, slug, preset=Preset(slug))
    paths = find_paths(app)
    album = Album(site, folder / "visitor")
    page = browser.new_page(user_agent=AGENTS[0], locale=language)
    album.add_paths(page, paths)
    write_mistakes(page, site, album)
    secret = make_person(app, site)
    write_second_step(page, site, Album(site, folder / "second-step"), secret)
    Album(site, folder / "person").add_paths(page, paths)
    page.close()


def find_paths(app: Flask) -> list[str]:
    """Return the path of every page that answers GET and needs no id."""
    rules = [rule for rule in app.url_map.iter_rules() if "pages." in rule.endpoint]
    return sorted(r.rule for r in rules if "GET" in (r.methods or ()) and not r.arguments)


def make_person(app: Flask, site: Site) -> bytes:
    """Make a user with an authenticator app and recovery codes; returns the app's secret.

    The user is signed in elsewhere, too.
    """
    person = {"email": EMAIL, "username": "ada", "display_name": "Ada Lovelace"}
    api = site.client()
    api.headers["User-Agent"] = AGENTS[0]
    api.post("/api/v1/auth/register", json={**person, "password": PASSWORD})
    for agent in AGENTS[1:]:
        credentials = {"identifier": EMAIL, "password": PASSWORD}
        api.post("/api/v1/auth/login", json=credentials, headers={"User-Agent": agent})
    with app.app_context(), transaction():
        ada = ref_of(get_user_by_reference(EMAIL))
        verify_email(ada, EMAIL)
    give_passkey(app, ada.id, name="Ada's phone")
    give_recovery_codes(app, ada.id, count=10)
    give_client(app, name="Larkspur Wiki", scopes=("openid", "profile", "email", "offline_access"))
    with app.app_context():
        (session, *_) = find_own_sessions(ada.id)
    allow_client(app, "wiki", "openid", "profile", user_id=ada.id, session_id=session.id)
    return give_totp(app, ada.id)


def write_mistakes(page: Page, site: Site, album: Album) -> None:
    """Write forms that were refused."""
    for path, fields in MISTAKES.items():
        page.goto(site.url + path)
        for name, value in fields.items():
            page.locator(f"#{name}").fill(value)
        # The browser's own checks would keep the form.
        page.locator("main form").first.evaluate("form => form.noValidate = true")
        page.locator("main form button[type=submit]").first.click()
        page.wait_for_load_state()
        album.add(page, f"{path[1:]}-refused")


def write_second_step(page: Page, site: Site, album: Album, secret: bytes) -> None:
    """Write the methods of the second step; the page ends signed in."""
    page.goto(f"{site.url}/sign-in")
    sign_in(page, EMAIL)
    links = [link.get_attribute("href") or "" for link in page.locator(".ways a").all()]
    album.add(page)
    for path in links:
        page.goto(site.url + path)
        album.add(page)
    page.goto(site.url + next(path for path in links if "/totp" in path))
    page.locator("#code").fill(code_at(secret, now()))
    page.keyboard.press("Enter")
    page.wait_for_url(f"{site.url}/account")
