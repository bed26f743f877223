"""Fixtures of tests on a real server."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from flask import Flask

from authserve.app import create_app
from authserve.database.transactions import db
from authserve.settings.model import Settings
from tests.conftest import fresh_database, make_settings
from tests.support.server import Server


@dataclass
class Site:
    """A server, and an application in the test's own process on the same database.

    Args:
        settings: the settings of both.
        folder: for the servers' files.
        environ: more variables for the server.
    """

    app: Flask
    settings: Settings
    folder: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    started: int = 0

    def __post_init__(self) -> None:
        self.server = self._start()

    def _start(self) -> Server:
        self.started += 1
        server = Server(self.settings, self.folder / f"server{self.started}", self.environ)
        server.wait_until_healthy()
        return server

    def restart(self) -> None:
        """End every process of the server, and start anew."""
        assert self.server.stop() == 0, self.server.output()
        self.server = self._start()


@contextmanager
def running_site(
    request: pytest.FixtureRequest,
    kind: str,
    folder: Path,
    environ: Mapping[str, str],
    *,
    features: tuple[str, ...] = (),
) -> Iterator[Site]:
    """A server on a database of its own, of one of `DATABASES`."""
    with fresh_database(request, kind, folder) as url:
        settings = make_settings(url, folder, features=features)
        names = {"FEATURES": ",".join(features) or "none"}
        site = Site(create_app(settings), settings, folder, {**names, **environ})
        yield site
        assert site.server.stop() == 0, site.server.output()
        with site.app.app_context():
            db.engine.dispose()


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, database_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """One server for all tests of a module, on each kind of database; it has to end well.

    They share its database, so each of them brings people of its own.
    """
    with running_site(request, database_kind, tmp_path_factory.mktemp("site"), {}) as site:
        yield site


@pytest.fixture(scope="module")
def proxied_site(
    request: pytest.FixtureRequest, database_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    """The same behind a proxy, so that clients have addresses; six strangers' passwords wait."""
    environ = {"TRUSTED_PROXIES": "1", "WEB_CONCURRENCY": "2", "WEB_THREADS": "16"}
    with running_site(request, database_kind, tmp_path_factory.mktemp("proxied"), environ) as site:
        yield site
