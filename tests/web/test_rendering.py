"""Values that templates show in a form of their own, and the place of compiled templates."""

import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from flask import Flask

from authserve.web.rendering import TEMPLATES, CompiledTemplates, show_time


def test_a_time_is_neutral_text_and_exact_for_the_script() -> None:
    shown = show_time(datetime(2026, 11, 27, 9, 57, 3, tzinfo=UTC))
    assert shown == '<time datetime="2026-11-27T09:57:03Z">2026-11-27 09:57 UTC</time>'


def test_a_template_that_cannot_be_kept_is_shown_all_the_same(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    app = make_app(features=("pages",))
    missing = CompiledTemplates(str(tmp_path / "missing"))
    monkeypatch.setattr(TEMPLATES.of(app), "bytecode_cache", missing)
    assert app.test_client().get("/sign-in").status_code == 200


def test_compiled_templates_are_kept_beside_bytecode_or_not_at_all(
    make_app: Callable[..., Flask], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def find_cache() -> object:
        return TEMPLATES.of(make_app(features=("pages",))).bytecode_cache

    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    monkeypatch.setattr(sys, "pycache_prefix", str(tmp_path))
    assert isinstance(find_cache(), CompiledTemplates)
    assert list(tmp_path.rglob("templates"))
    # The folder cannot be made where a file has its name.
    monkeypatch.setattr(sys, "pycache_prefix", str(Path(__file__)))
    assert find_cache() is None
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    assert find_cache() is None
