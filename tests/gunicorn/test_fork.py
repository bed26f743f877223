"""What the master does before it forks its workers, and what it must not do."""

import runpy
from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy.pool import QueuePool

import config
from authserve.core.db import db
from authserve.core.password_policy import load_common_passwords


def test_making_an_application_connects_to_nothing(make_app: Callable[..., Flask]) -> None:
    """Workers that share a connection would read each other's answers."""
    app = make_app()
    with app.app_context():
        assert isinstance(db.engine.pool, QueuePool)
        assert (db.engine.pool.checkedin(), db.engine.pool.checkedout()) == (0, 0)


def test_the_workers_find_the_common_passwords_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "a secret for tests alone, 0123456789")
    monkeypatch.setenv("DATABASE_URL", "sqlite:///unused.db")
    hooks = runpy.run_path(str(config.ROOT / "gunicorn.conf.py"))
    load_common_passwords.cache_clear()
    hooks["when_ready"](None)
    assert load_common_passwords.cache_info().currsize == 1
