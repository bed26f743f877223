"""The master's work before it forks its workers, and its limits."""

import gc
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import inspect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.pool import QueuePool

import config
from authserve.database.transactions import db
from authserve.passwords.policy import load_common_passwords
from authserve.serving.memory import use_one_malloc_arena
from authserve.web.rendering import TEMPLATES, CompiledTemplates


def test_making_an_application_connects_to_nothing(make_app: Callable[..., Flask]) -> None:
    """Workers that share a connection would read each other's answers."""
    app = make_app()
    with app.app_context():
        assert isinstance(db.engine.pool, QueuePool)
        assert (db.engine.pool.checkedin(), db.engine.pool.checkedout()) == (0, 0)


@pytest.fixture
def arbiter(make_app: Callable[..., Flask]) -> Any:
    """The part of gunicorn's master that the hooks see: the application that it has loaded."""
    app = make_app(features=("pages",))
    return SimpleNamespace(app=SimpleNamespace(wsgi=lambda: app))


@pytest.fixture
def hooks(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """The hooks that gunicorn calls in the master."""
    monkeypatch.setenv("SECRET_KEY", "a secret for tests alone, 0123456789")
    monkeypatch.setenv("DATABASE_URL", "sqlite:///unused.db")
    monkeypatch.setenv("FEATURES", "pages")
    gc.unfreeze()
    yield runpy.run_path(str(config.ROOT / "gunicorn.conf.py"))
    gc.freeze()
    gc.enable()


def test_the_workers_find_the_common_passwords_read(hooks: dict[str, Any], arbiter: Any) -> None:
    load_common_passwords.cache_clear()
    hooks["when_ready"](arbiter)
    assert load_common_passwords.cache_info().currsize == 1


def test_the_workers_find_the_templates_loaded(
    hooks: dict[str, Any], arbiter: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    templates = TEMPLATES.of(arbiter.app.wsgi())
    monkeypatch.setattr(templates, "bytecode_cache", CompiledTemplates(str(tmp_path)))
    hooks["when_ready"](arbiter)
    names = {name for _loader, name in templates.cache}
    assert {"account.html", "sign_in.html", "error.html"} <= names
    assert len(list(tmp_path.glob("*.cache"))) == len(names)


def test_the_workers_find_the_mappers_configured(hooks: dict[str, Any], arbiter: Any) -> None:
    class Base(DeclarativeBase):
        pass

    class Model(Base):
        __tablename__ = "model"
        id: Mapped[int] = mapped_column(primary_key=True)

    assert not inspect(Model).configured
    hooks["when_ready"](arbiter)
    assert inspect(Model).configured


def test_all_threads_share_one_malloc_arena(
    hooks: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, ...]] = []
    library = SimpleNamespace(mallopt=lambda *arguments: calls.append(arguments))
    monkeypatch.setattr("ctypes.CDLL", lambda _name: library)
    monkeypatch.setitem(hooks["on_starting"].__globals__, "drain_on_sigterm", lambda *_, **__: None)
    hooks["on_starting"](None)
    assert calls == [(-8, 1)]


def test_another_c_library_has_its_own_malloc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _name: SimpleNamespace())
    use_one_malloc_arena()


def test_a_start_compiles_no_templates_that_it_cannot_keep(
    hooks: dict[str, Any], arbiter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = TEMPLATES.of(arbiter.app.wsgi())
    monkeypatch.setattr(templates, "bytecode_cache", None)
    hooks["when_ready"](arbiter)
    assert not templates.cache


@pytest.mark.parametrize("hook", ["when_ready", "on_reload"])
def test_garbage_is_collected_from_the_first_worker_on(
    hooks: dict[str, Any], arbiter: Any, hook: str
) -> None:
    """Earlier objects are shared by the workers, and none of them is garbage."""
    assert not gc.isenabled()
    hooks[hook](arbiter)
    assert gc.isenabled()
    assert gc.get_freeze_count() > 0
