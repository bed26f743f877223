"""Fixtures: a site of real processes, and a browser that notes what a page does behind its back."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
import requests
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

from tests.browser.people import Person
from tests.support.clients import PASSWORD
from tests.support.server import Client
from tests.support.site import Site, running_site

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")

APP = "http://localhost:1"
"""The origin of an app; a browser that is sent there finds no server."""

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class User:
    """A user registered and signed in by the API, to check the effect of the pages."""

    def __init__(self, client: Client, name: str) -> None:
        self.client, self.name, self.email = client, name, f"{name}@example.com"
        body = {"email": self.email, "username": name, "password": PASSWORD}
        registered = client.post("/api/v1/auth/register", json=body)
        assert registered.status_code == 201, registered.text
        self.headers = {"Authorization": f"Bearer {self.login(PASSWORD).json()['access_token']}"}

    def login(self, password: str) -> requests.Response:
        """Sign in with a password."""
        body = {"identifier": self.name, "password": password}
        return self.client.post("/api/v1/auth/login", json=body)

    def call(self, method: str, path: str, body: Any = None) -> requests.Response:
        """Call the API in the session of the beginning."""
        return self.client.request(method, f"/api/v1{path}", json=body, headers=self.headers)


@pytest.fixture(scope="module")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service without optional features."""
    with running_site(sqlite_template, tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(scope="module")
def site_with_pages(
    sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The service with pages, and with an app to which people may return."""
    settings = {"FEATURES": "pages", "BRAND_NAME": "Larkspur", "RETURN_URLS": f"{APP}/inside"}
    folder = tmp_path_factory.mktemp("site-with-pages")
    with running_site(sqlite_template, folder, **settings) as site:
        yield site


@pytest.fixture
def make_user(site: Site) -> Callable[[], User]:
    """Register a user that no other test uses."""
    return lambda: User(site.client(), f"user-{uuid4().hex[:8]}")


@pytest.fixture
def alice(make_user: Callable[[], User]) -> User:
    """A user who has just registered."""
    return make_user()


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """The system's Chromium, with no window and nothing to remember."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


class Watch:
    """The requests and complaints of a page."""

    def __init__(self, site: Site) -> None:
        self._host = urlsplit(site.url).netloc
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.are_losses_expected = False

    def attach(self, page: Page) -> None:
        """Watch a page."""
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        # The browser itself writes a line for each call that is refused or lost.
        is_refusal = message.text.startswith("Failed to load resource: the server responded")
        is_loss = self.are_losses_expected and message.text.startswith("Failed to load resource:")
        path = urlsplit(message.location["url"]).path
        if (is_refusal and "/api/v1/" in path) or is_loss:
            return
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def check(self) -> None:
        """Check that there was no complaint and no request to another origin."""
        assert self.complaints == []
        others = [url for url in self.requests if urlsplit(url).netloc != self._host]
        assert [url for url in others if not url.startswith("data:")] == []
        # The token travels in the body alone.
        assert not [url for url in self.requests if "?" in url]


@pytest.fixture
def watch(site: Site) -> Iterator[Watch]:
    """Watches every page of the test, which must end with nothing to complain about."""
    watch = Watch(site)
    yield watch
    watch.check()


@pytest.fixture
def open_page(chromium: Browser, watch: Watch) -> Iterator[Callable[..., Page]]:
    """Open pages, each in a browser profile of its own; options are those of `new_context`."""
    contexts = []

    def open_page(url: str | None = None, **options: Any) -> Page:
        context = chromium.new_context(**options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        watch.attach(page)
        if url is not None:
            page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


@pytest.fixture
def make_person(site_with_pages: Site, chromium: Browser) -> Iterator[Callable[..., Person]]:
    """Make people, each with a profile of their own; options are those of `new_context`."""
    people: list[Person] = []

    def make(**options: object) -> Person:
        context = chromium.new_context(**options)
        context.set_default_timeout(20_000)
        people.append(Person(site_with_pages, context.new_page()))
        return people[-1]

    yield make
    for person in people:
        person.page.context.close()
        assert person.complaints == []


@pytest.fixture
def ada(make_person: Callable[..., Person]) -> Person:
    """A person with an account."""
    return make_person()
