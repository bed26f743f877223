"""Fixtures of the tests about signing keys."""

import time
from collections.abc import Callable

import pytest
import time_machine
from flask import Flask

from authserve.keys.store import KEY_STORE, KeyStore


@pytest.fixture
def make_timed_app(
    make_app: Callable[..., Flask], clock: time_machine.Traveller
) -> Callable[..., Flask]:
    """Make applications whose copies of the keys age with the test's clock, and only with it."""

    def make(**changes: object) -> Flask:
        app = make_app(**changes)
        # Real time continues under the frozen clock; time.time() is frozen.
        KEY_STORE.fill(app, KeyStore(monotonic=time.time))
        return app

    return make


@pytest.fixture
def timed_app(make_timed_app: Callable[..., Flask]) -> Flask:
    """An application whose copy of the keys ages with the test's clock."""
    return make_timed_app()
