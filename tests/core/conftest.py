"""The core by itself: settings and keys, without a database or a feature."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from flask import Flask

from authserve.core.crypto import KEYRING_EXTENSION, Keyring
from authserve.settings.model import SETTINGS_EXTENSION
from tests.conftest import make_settings

SECRET = "the present secret, 0123456789 0123456789"


def core_app(*secrets: str) -> Flask:
    """An application that has settings, and keys made of `secrets`, newest first."""
    app = Flask("core")
    app.extensions[SETTINGS_EXTENSION] = make_settings("sqlite://", Path("nowhere"))
    app.extensions[KEYRING_EXTENSION] = Keyring(secrets or (SECRET,))
    return app


@pytest.fixture(scope="module")
def core_context() -> Iterator[None]:
    """The context of such an application, for all tests of a module."""
    with core_app().app_context():
        yield


@pytest.fixture
def with_secrets() -> Callable[..., AbstractContextManager[object]]:
    """Enter the context of an application with other secrets."""
    return lambda *secrets: core_app(*secrets).app_context()
