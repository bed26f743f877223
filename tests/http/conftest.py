"""Fixtures of tests about HTTP."""

import json
from collections.abc import Callable
from typing import Any

import pytest

Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Log:
    """Gives the lines that were logged since it was asked last, each of which must be JSON."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return read
