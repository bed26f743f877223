"""Databases before their first migration."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from flask import Flask

import authserve.apikeys.models
import authserve.clients.models  # noqa: F401 - no module of the service loads this one yet
import config
from authserve.app import create_app
from authserve.database.transactions import db
from tests.conftest import PostgreSQL, make_settings


@pytest.fixture
def empty_database_url(
    request: pytest.FixtureRequest, database_kind: str, tmp_path: Path
) -> Iterator[str]:
    """A database without a table."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    name = f"empty_{uuid4().hex}"
    yield server.create(name)
    server.drop(name)


@pytest.fixture
def empty(empty_database_url: str, tmp_path: Path) -> Iterator[Flask]:
    """An application on such a database, and its context."""
    app = create_app(make_settings(empty_database_url, tmp_path))
    with app.app_context():
        yield app
        db.engine.dispose()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder to run the service in, where no developer's `.env` is."""
    folder = tmp_path / "project"
    folder.mkdir()
    for name in ("config.py", "wsgi.py"):
        shutil.copy(config.ROOT / name, folder)
    return folder


@pytest.fixture
def environ(empty_database_url: str) -> dict[str, str]:
    """The environment of the processes."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f".{os.pathsep}{config.ROOT}",
        "FLASK_APP": "wsgi:app",
        "DATABASE_URL": empty_database_url,
        "SECRET_KEY": "a secret of starters, 0123456789 0123456789",
        "APP_ENV": "test",
    }
