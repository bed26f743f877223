"""Fixtures of tests that send hostile requests."""

import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from authserve.database.statements import Base
from authserve.database.transactions import read_all
from authserve.ratelimit.models import RateCounter
from tests.support.clients import Caller, register_caller
from tests.support.factors import raise_caller
from tests.support.identity_providers import give_provider
from tests.support.oauth_clients import give_client
from tests.support.operations import API_FEATURES, Operation, read_operations
from tests.support.problems import INTERNALS

MARK = "h0st1le"
"""In every text that is sent, and in nothing that comes back."""


class Range:
    """The service under fire: what is sent, what it answers, what it logs, what it keeps.

    Args:
        admin: sends everything that needs a token; holds every permission.
        victim: is what paths name.
    """

    def __init__(self, app: Flask, capfd: pytest.CaptureFixture[str]) -> None:
        self.app = app
        self.operations = read_operations(app)
        self.admin: Caller = register_caller(app, "admin", roles=["admin"])
        raise_caller(app, self.admin)
        self.victim: Caller = register_caller(app, "victim")
        self.secret = give_client(app, "victim").secrets[0]
        give_provider(app, "victim")
        self._client = app.test_client(use_cookies=False)
        self._capfd = capfd
        self.sent = 0
        self.stored_before = self.stored()
        capfd.readouterr()

    def path_of(self, operation: Operation, **parameters: str) -> str:
        """The operation's path, with things that are there in it, or with `parameters`."""
        found = {"user_id": str(self.victim.id), "name": "user"}
        found["session_id"] = str(self.admin.session_id)
        found["client_id"], found["secret_id"] = "victim", str(self.secret.id)
        found["slug"] = "victim"
        # One of another account.
        found["passkey_id"] = found["key_id"] = found["identity_id"] = found["session_id"]
        return operation.path.format(**found | parameters)

    def send(self, operation: Operation, *, path: str | None = None, **kwargs: Any) -> TestResponse:
        """Call an operation, by default as it wants it but for its body."""
        return self.open(operation.method, path or self.path_of(operation), **kwargs)

    def open(
        self, method: str, path: str, *, environ: dict[str, str] | None = None, **kwargs: Any
    ) -> TestResponse:
        """Send a request from an address of its own, so that no limit is what refuses it."""
        self.sent += 1
        headers = {
            "Authorization": f"Bearer {self.admin.tokens['access_token']}",
            "X-Correlation-ID": f"n{self.sent}",
            **kwargs.pop("headers", {}),
        }
        # What a server hands over: a path's bytes, decoded once, as Latin-1.
        overrides = {"PATH_INFO": path, "RAW_URI": path, "REQUEST_METHOD": method}
        overrides["REMOTE_ADDR"] = f"2001:db8:{self.sent:x}::1"
        overrides |= environ or {}
        return self._client.open("/", headers=headers, environ_overrides=overrides, **kwargs)

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines logged since the last call; each must be JSON."""
        return [json.loads(line) for line in self._capfd.readouterr().out.splitlines()]

    def stored(self) -> dict[str, list[str]]:
        """Every row of every table, but for counters of attempts."""
        with self.app.app_context():
            return {
                table.name: sorted(repr(tuple(row)) for row in read_all(select(table)))
                for table in Base.metadata.sorted_tables
                if table.name != RateCounter.__tablename__
            }

    def assert_nothing_came_of_it(self) -> None:
        """Nothing was stored, and each request is one line of the log that nothing forged."""
        assert self.sent > 0
        lines = self.lines()
        assert [line["event"] for line in lines] == ["request"] * self.sent
        told = [line["correlation_id"] for line in lines]
        assert len(set(told)) == self.sent
        assert MARK not in json.dumps(lines)
        assert self.stored() == self.stored_before


def assert_refused(response: TestResponse, statuses: Iterable[int], case: Any) -> None:
    """Check that an answer is a refusal that reveals neither the request nor the service."""
    assert response.status_code in set(statuses), (case, response.get_data(as_text=True))
    assert response.headers["Content-Type"] == "application/problem+json", case
    problem = response.get_json()
    assert problem["status"] == response.status_code, case
    assert problem["correlation_id"] == response.headers["X-Correlation-ID"], case
    text = json.dumps(problem).lower()
    assert MARK not in text, case
    assert not [word for word in INTERNALS if word in text], case


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every call of the API."""
    return make_app(features=API_FEATURES)


@pytest.fixture
def range_(app: Flask, capfd: pytest.CaptureFixture[str]) -> Range:
    """An administrator, another user, and a service before its first hostile request."""
    return Range(app, capfd)
