"""Fixtures of tests about HTTP."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import make_url

from authserve.database.transactions import db

Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Log:
    """Gives the lines that were logged since it was asked last, each of which must be JSON."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return read


@pytest.fixture
def lose_database(
    app: Flask, database_url: str, request: pytest.FixtureRequest
) -> Callable[[], None]:
    """Takes the database away, whoever is connected to it."""
    url = make_url(database_url)

    def lose() -> None:
        if url.get_backend_name() == "postgresql":
            request.getfixturevalue("postgresql").drop(url.database)
            return
        with app.app_context():
            db.engine.dispose()
        path = Path(url.database or "")
        path.unlink()
        path.mkdir()

    return lose
