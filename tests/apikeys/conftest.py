"""API keys of people whose addresses are verified."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from authserve.apikeys.create import create_key
from authserve.apikeys.policy import DEFAULT_LIFETIME
from authserve.auth.queries import find_session
from authserve.core.actor import RequestInfo
from tests.support.clients import Caller
from tests.support.rows import change_user
from tests.support.secrecy import SECRETS

OWN = "/api/v1/users/me/api-keys"


@dataclass
class Program:
    """A program with a key of a user."""

    app: Flask
    id: UUID
    key: str

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        """Send a request with the key."""
        headers = {"Authorization": f"Bearer {self.key}"}
        return self.app.test_client().open(path, method=method, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        """GET with the key."""
        return self.call("GET", path, **kwargs)


MakeKey = Callable[..., Program]


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with API keys."""
    return make_app(features=("api-keys",))


@pytest.fixture
def alice(app: Flask, alice: Caller) -> Caller:
    """Alice, whose address is verified."""
    change_user(app, alice.id, email_verified=True)
    return alice


@pytest.fixture
def admin(app: Flask, admin: Caller) -> Caller:
    """An administrator, whose address is verified."""
    change_user(app, admin.id, email_verified=True)
    return admin


@pytest.fixture
def make_key(app: Flask) -> MakeKey:
    """Make keys of signed-in users as the API's call does."""

    def make(caller: Caller, *scopes: str, expires_in: timedelta = DEFAULT_LIFETIME) -> Program:
        with app.app_context():
            session = find_session(caller.session_id)
            assert session is not None
            made = create_key(
                name="Report",
                scopes=scopes or ("account",),
                expires_in=expires_in,
                actor=session.actor,
                request=RequestInfo(),
            )
        SECRETS.note(made.key)
        return Program(app, made.id, made.key)

    return make
