"""The people and calls of one operation's scenario, and the refusals that operations share."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import cached_property
from typing import Any

import time_machine
from flask import Flask
from sqlalchemy import update
from werkzeug.test import TestResponse

from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.ratelimit.models import THROTTLE_PREFIX, RateCounter
from authserve.settings.model import SETTINGS, Mfa
from tests.support.clients import Caller, register_caller, sign_in
from tests.support.factors import raise_caller
from tests.support.mail import open_mailbox, work
from tests.support.rows import change_session, live_session_row

API = "/api/v1"

UNKNOWN_ID = "01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f"

TEXT_PARAMETERS = {"name": "support", "client_id": "wiki", "slug": "google"}
"""The parameters of paths that are no UUIDs, with their values by default."""

Answer = tuple[str, TestResponse]
"""The scenario's name of an answer, and the answer."""


class Scene:
    """An operation, an application of its own, and callers of every kind.

    Args:
        operation: the operation in the OpenAPI document, with its `method` and `path`.
    """

    def __init__(
        self, app: Flask, clock: time_machine.Traveller, operation: dict[str, Any]
    ) -> None:
        self.app, self.clock, self.operation = app, clock, operation
        self.mailbox = open_mailbox(app)
        self.visitor = app.test_client()
        content = operation.get("requestBody", {}).get("content", {})
        self.example: Any = content.get("application/json", {}).get("example")
        """A body that the operation accepts or refuses by its content alone."""
        self.is_guarded = self.refuses("authentication_required")
        """True if the calls that any operation refuses are made with an access token."""

    @cached_property
    def alice(self) -> Caller:
        """A user without permissions."""
        return register_caller(self.app, "alice")

    @cached_property
    def admin(self) -> Caller:
        """An administrator with a fresh session."""
        return register_caller(self.app, "admin", roles=("admin",))

    def send(self, caller: Caller | None = None, json: Any = None, **options: Any) -> TestResponse:
        """Call the operation.

        Args:
            caller: its access token is sent along; None for a visitor.
            options: parameters of the path, `query`, and options of the test client.
        """
        path = self.operation["path"] + options.pop("query", "")
        for name in path_parameters(self.operation):
            value = options.pop(name, None) or self._default(name)
            path = path.replace(f"{{{name}}}", str(value))
        headers = {"X-Correlation-ID": "recorded", **options.pop("headers", {})}
        if caller is not None:
            headers["Authorization"] = f"Bearer {caller.tokens['access_token']}"
        method = self.operation["method"]
        return self.visitor.open(path, method=method, json=json, headers=headers, **options)

    def _default(self, parameter: str) -> str:
        if parameter == "user_id":
            return str(self.alice.id)
        return TEXT_PARAMETERS.get(parameter, UNKNOWN_ID)

    def link(self, address: str) -> str:
        """Return the token of the newest link that was mailed to an address."""
        work(self.app)
        return [letter.token for letter in self.mailbox.to(address) if "#" in letter.text][-1]

    def again(self, caller: Caller) -> Caller:
        """Sign a caller in once more, to a session of the same level."""
        other = sign_in(self.visitor, caller.user["username"], user=caller.user)
        level = live_session_row(self.app, caller.session_id)["aal"]
        raise_caller(self.app, other, level)
        return other

    def signed_out(self, caller: Caller) -> Caller:
        """Return another session of a caller, which has ended."""
        other = self.again(caller)
        assert other.post(f"{API}/auth/logout").status_code == 204
        return other

    def stale(self, caller: Caller) -> Caller:
        """Return another session of a caller, with a refreshed token."""
        other = self.again(caller)
        body = {"refresh_token": other.tokens["refresh_token"]}
        other.tokens = self.visitor.post(f"{API}/auth/refresh", json=body).get_json()
        return other

    def make_role(self) -> None:
        """Make a role that lets its users read accounts."""
        body = {"name": "support", "permissions": ["users:read"]}
        assert self.admin.post(f"{API}/roles", json=body).status_code == 201

    def refuses(self, code: str) -> bool:
        """Return True if the document shows a refusal with this code."""
        return code in {code for _, code in documented(self.operation)}


def path_parameters(operation: dict[str, Any]) -> set[str]:
    """Return the names of the parameters in an operation's path."""
    parts = operation["path"].split("/")
    return {part[1:-1] for part in parts if part.startswith("{")}


def documented(operation: dict[str, Any]) -> set[tuple[str, str]]:
    """Return the statuses and codes of the answers that an operation documents.

    The code of an answer without examples is empty.
    """
    return {
        (status, code)
        for status, response in operation["responses"].items()
        for media in response.get("content", {"": {}}).values()
        for code in media.get("examples", {"": None})
    }


def shared_refusals(scene: Scene) -> Iterator[Answer]:
    """Yield the refusals that any operation can document; none of them changes anything."""
    yield from _refused_bodies(scene)
    if scene.is_guarded:
        yield from _refused_tokens(scene)
    if scene.refuses("insufficient_permissions"):
        caller = register_caller(scene.app, "charlie")
        yield "without permission", scene.send(caller, scene.example)
    if scene.refuses("user_not_found"):
        yield "unknown user", scene.send(scene.admin, scene.example, user_id=UNKNOWN_ID)
    if scene.refuses("not_found") and "name" not in path_parameters(scene.operation):
        for name in path_parameters(scene.operation):
            value = "%2F" if name in TEXT_PARAMETERS else "x"
            yield f"malformed {name}", scene.send(scene.admin, scene.example, **{name: value})


def _refused_bodies(scene: Scene) -> Iterator[Answer]:
    if not scene.refuses("malformed_request"):
        return
    json = "application/json"
    caller = scene.admin if scene.is_guarded else None
    yield "malformed body", scene.send(caller, data="{", content_type=json)
    yield "body too large", scene.send(caller, data=" " * 65_537, content_type=json)
    yield "body of another type", scene.send(caller, data="x", content_type="text/plain")
    yield "unknown field", scene.send(caller, {"surprise": True})
    yield "unknown parameter", scene.send(caller, scene.example, query="?surprise=true")


def _refused_tokens(scene: Scene) -> Iterator[Answer]:
    yield "no token", scene.send(json=scene.example)
    for name, header in (("another scheme", "Basic YTpi"), ("invalid token", "Bearer x")):
        yield name, scene.send(json=scene.example, headers={"Authorization": header})
    yield "session over", scene.send(scene.signed_out(scene.admin), scene.example)
    if scene.refuses("reauthentication_required"):
        yield "stale token", scene.send(scene.stale(scene.admin), scene.example)
    if scene.refuses("step_up_required"):
        caller = scene.again(scene.admin)
        change_session(scene.app, caller.session_id, aal=Level.AAL1)
        change_settings(scene, mfa=Mfa.REQUIRED)
        yield "without second factor", scene.send(caller, scene.example)
        change_settings(scene, mfa=Mfa.OPTIONAL)


def change_settings(scene: Scene, **changes: object) -> None:
    """Change settings of the running application."""
    settings = SETTINGS.of(scene.app)
    SETTINGS.fill(scene.app, replace(settings, **changes))  # type: ignore[arg-type]


def expired_token(scene: Scene) -> Iterator[Answer]:
    """Yield the refusal of an access token that has expired."""
    if scene.is_guarded:
        caller = scene.again(scene.admin)
        scene.clock.shift(timedelta(minutes=11))
        yield "expired token", scene.send(caller, scene.example)


def over_limit(scene: Scene) -> Iterator[Answer]:
    """Yield the refusal of a call too many."""
    if scene.refuses("rate_limited"):
        caller = scene.again(scene.admin) if scene.is_guarded else None
        scene.send(caller, scene.example)
        is_limit = ~RateCounter.key.startswith(THROTTLE_PREFIX)
        with scene.app.app_context(), transaction() as session:
            session.execute(update(RateCounter).where(is_limit).values(hits=MANY))
        yield "one call too many", scene.send(caller, scene.example)
        scene.clock.shift(timedelta(hours=1))


MANY = 1_000
"""More calls than any limit allows."""


def without_database(scene: Scene, lose_database: Callable[[], None]) -> Iterator[Answer]:
    """Yield the answer while the database is away."""
    caller = scene.again(scene.admin) if scene.is_guarded else None
    lose_database()
    yield "database away", scene.send(caller, scene.example)
