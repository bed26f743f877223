"""People who use the service in tests."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserve.core.actor import VISITOR, RequestInfo
from authserve.rbac.assignment import set_roles
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user_by_reference

PASSWORD = "correct horse battery staple"


@dataclass
class Caller:
    """A signed-in user, with a client that sends their access token along."""

    client: FlaskClient
    user: dict[str, Any]
    tokens: dict[str, Any]
    password: str = PASSWORD
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> UUID:
        """The account's id."""
        return UUID(self.user["id"])

    @property
    def session_id(self) -> UUID:
        """The session's id."""
        return UUID(self.tokens["session_id"])

    def call(self, method: str, path: str, **kwargs: Any) -> TestResponse:
        """Send a request with the caller's access token."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}", **self.headers}
        headers.update(kwargs.pop("headers", {}))
        return self.client.open(path, method=method, headers=headers, **kwargs)

    def get(self, path: str, **kwargs: Any) -> TestResponse:
        """GET as the caller."""
        return self.call("GET", path, **kwargs)

    def post(self, path: str, **kwargs: Any) -> TestResponse:
        """POST as the caller."""
        return self.call("POST", path, **kwargs)

    def patch(self, path: str, **kwargs: Any) -> TestResponse:
        """PATCH as the caller."""
        return self.call("PATCH", path, **kwargs)

    def put(self, path: str, **kwargs: Any) -> TestResponse:
        """PUT as the caller."""
        return self.call("PUT", path, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> TestResponse:
        """DELETE as the caller."""
        return self.call("DELETE", path, **kwargs)


def register(client: FlaskClient, name: str, **fields: Any) -> TestResponse:
    """Register `name` with an address, a username and the password of all tests."""
    body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD, **fields}
    return client.post("/api/v1/auth/register", json=body)


def login(client: FlaskClient, identifier: str, password: str = PASSWORD) -> TestResponse:
    """Sign in."""
    body = {"identifier": identifier, "password": password}
    return client.post("/api/v1/auth/login", json=body)


def register_caller(app: Flask, name: str, *, roles: Iterable[str] = ()) -> Caller:
    """Register and sign in a user, with `roles` beside the role of every user."""
    client = app.test_client()
    response = register(client, name)
    assert response.status_code == 201, response.get_data(as_text=True)
    if roles:
        with app.app_context():
            user = ref_of(get_user_by_reference(name))
            set_roles(user, {"user", *roles}, actor=VISITOR, request=RequestInfo())
    return sign_in(client, name, user=response.get_json())


def sign_in(client: FlaskClient, name: str, *, user: dict[str, Any]) -> Caller:
    """Sign a registered user in once more."""
    response = login(client, name)
    assert response.status_code == 200, response.get_data(as_text=True)
    return Caller(client=client, user=user, tokens=response.get_json())
