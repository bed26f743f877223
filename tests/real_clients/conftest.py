"""Fixtures: the whole service, people, and programs of others that sign people in through it.

What is not installed here is skipped, and pytest reports it: Apache with mod_auth_openidc, nginx,
Caddy, node with npm, Chromium.
"""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.browsing import Shown
from tests.support.clients import PASSWORD
from tests.support.http_browser import HTTPBrowser
from tests.support.site import Site, running_site

NODE = Path(__file__).parent / "node"

FEATURES = "pages,oidc,forward-auth,federation"


@pytest.fixture(scope="session")
def site(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The service as an identity provider, which may call programs on this machine."""
    folder = tmp_path_factory.mktemp("site")
    settings = {"FEATURES": FEATURES, "OUTBOUND_HOSTS": "127.0.0.0/8"}
    with running_site(sqlite_template, folder, **settings) as site:
        yield site


def register_client(site: Site, client_id: str, **values: Any) -> dict[str, Any]:
    """Register a client by `flask clients create`, and return it with its secret."""
    kind = values.pop("kind", "web")
    options = [f"{name}={json.dumps(value)}" for name, value in values.items()]
    pairs = [word for option in options for word in ("--set", option)]
    done = site.run("clients", "create", client_id, "--kind", kind, *pairs)
    assert done.returncode == 0, done.stderr
    created: dict[str, Any] = json.loads(done.stdout)
    return created


@dataclass
class Person:
    """A person with an account and a browser."""

    site: Site
    name: str
    browser: HTTPBrowser

    @property
    def id(self) -> str:
        """The account's id."""
        return str(self.account["id"])

    account: dict[str, Any]

    def sign_out(self) -> None:
        """Sign out on the service's own page."""
        page = self.browser.open(f"{self.site.url}/sign-out")
        shown = self.browser.give(page)
        assert "signed out" in shown.text


@pytest.fixture
def make_person(site: Site) -> Callable[..., Person]:
    """Register people; their names are new each time, as are their browsers."""

    def make(*roles: str) -> Person:
        name = f"person-{uuid4().hex[:8]}"
        body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
        answer = site.client().post("/api/v1/auth/register", json=body)
        assert answer.status_code == 201, answer.text
        for role in roles:
            site.command("users", "grant", name, role)
        return Person(site, name, HTTPBrowser(), answer.json())

    return make


@pytest.fixture
def ada(make_person: Callable[..., Person]) -> Person:
    """A person with an account."""
    return make_person()


@pytest.fixture(scope="session")
def node_modules() -> Path:
    """The folder with the packages of npm, installed from the lock file into the user's cache."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed here")
    lock = (NODE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "authserve-real-clients" / sha256(lock).hexdigest()[:16]
    if (folder / "installed").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(NODE / name, folder)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"npm cannot fetch the clients: {done.stderr[-300:]}")
    (folder / "installed").touch()
    return folder


class NodeApp:
    """A program of the folder `node`; each line that it prints is a JSON value.

    Args:
        folder: where its packages are.
        script: its name there.
        options: given to it as JSON.
    """

    def __init__(self, folder: Path, script: str, options: dict[str, Any]) -> None:
        # An import looks for packages in the folders above the file.
        place = folder / script
        shutil.copy(NODE / script, place)
        self._process = subprocess.Popen(
            ["node", place, json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read(self) -> Any:
        """Return the next value that it prints."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            assert self._process.stderr is not None
            raise AssertionError(self._process.stderr.read())
        return json.loads(line)

    def write(self, value: Any) -> None:
        """Send it a value."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(value) + "\n")
        self._process.stdin.flush()

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start_node(node_modules: Path) -> Iterator[Callable[..., NodeApp]]:
    """Start programs of the folder `node`."""
    with ExitStack() as stops:

        def start(script: str, **options: Any) -> NodeApp:
            app = NodeApp(node_modules, script, options)
            stops.callback(app.stop)
            return app

        yield start


SLUG = "node"

ACCOUNT = {
    "sub": "an account elsewhere",
    "email": "grace@example.com",
    "email_verified": True,
    "name": "Grace",
}
"""The claims of the one account of the provider."""


@pytest.fixture(scope="session")
def provider(
    site: Site, node_modules: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The slug of a provider made with oidc-provider, by which people sign in to the service."""
    secret = tmp_path_factory.mktemp("provider") / "secret.txt"
    secret.write_text("a secret / of the:client", encoding="utf-8")
    options = {
        "client_id": "authserve",
        "secret": secret.read_text(encoding="utf-8"),
        "redirect_uri": f"{site.url}/sign-in/with/{SLUG}/callback",
        "account": ACCOUNT,
    }
    app = NodeApp(node_modules, "provider.mjs", options)
    try:
        names = ["--slug", SLUG, "--name", "Node", "--issuer", app.read()]
        client = ["--client-id", "authserve", "--client-secret-file", str(secret)]
        site.command("providers", "add", "oidc", *names, *client, "--trusts-email")
        yield SLUG
    finally:
        app.stop()


def sign_in_elsewhere(browser: HTTPBrowser, page: Shown, *, until: str | None = None) -> Shown:
    """Send what the provider's button on the page to sign in sends, and follow where that leads.

    A worker that had no provider a moment ago shows the button within half a minute.
    """
    fields = {"continue": page.form("/sign-in").get("continue", "")}
    return browser.send(f"/sign-in/with/{SLUG}", fields, until=until)
