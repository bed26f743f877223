"""The calls of each kind of caller; the real tokens of apps and machines are in `tests/oidc`."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from authserve.core.actor import Actor, UserRef
from authserve.core.clock import now
from authserve.core.errors import InvalidTokenError
from authserve.core.levels import Level
from authserve.http.authentication import (
    fresh_login_at_level_required,
    fresh_login_required,
    fresh_token_at_level_required,
    fresh_token_required,
    login_at_any_level_required,
    login_optional,
    login_required,
    optional_actor,
    require_permission,
)
from authserve.http.callers import (
    ACCOUNT_SCOPE,
    AUTHENTICATORS,
    Authentication,
    Authenticator,
    CallerKind,
)
from authserve.http.openapi import open_to_scope
from tests.support.probes import add_probe

USER = UserRef(UUID(int=1), UUID(int=1))

PERMISSIONS = frozenset({"users:read"})


def fresh_claims(*, minutes: int) -> dict[str, Any]:
    """Return the claims of a token of one factor that is fresh for some minutes yet."""
    until = now() + timedelta(minutes=minutes)
    return {"acr": "aal1", "amr": ["pwd"], "fresh": int(until.timestamp())}


def callers() -> dict[str, Authentication]:
    """Return a caller of each kind, by the text of the token."""
    user = Actor(user=USER, permissions=PERMISSIONS)
    app = {"actor": user, "found_account": None, "kind": CallerKind.APP}
    key = {"actor": user, "found_account": None, "kind": CallerKind.API_KEY, "claims": {}}
    account = frozenset({ACCOUNT_SCOPE})
    machine = Actor(client_id="report", permissions=PERMISSIONS)
    return {
        "user": Authentication(actor=user, found_account=None, claims=fresh_claims(minutes=1)),
        "app": Authentication(**app, claims=fresh_claims(minutes=1)),
        "stale app": Authentication(**app, claims=fresh_claims(minutes=-1)),
        "account app": Authentication(**app, claims=fresh_claims(minutes=1), scopes=account),
        "key": Authentication(**key),
        "account key": Authentication(**key, scopes=account),
        "machine": Authentication(
            actor=machine, found_account=None, kind=CallerKind.MACHINE, claims={}
        ),
    }


def needs_phr(_actor: Actor) -> Level:
    return Level.PHR


def permitted(guard: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda view: require_permission("users:read")(guard(view))


def open_login(login: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda view: login(open_to_scope(ACCOUNT_SCOPE)(view))


GUARDS: dict[str, Callable[[Any], Any]] = {
    "login": login_required,
    "any-level": login_at_any_level_required,
    "fresh-login": fresh_login_required,
    "fresh-login-at-level": fresh_login_at_level_required(needs_phr),
    "optional": login_optional,
    "account": open_login(login_required),
    "account-at-any-level": open_login(login_at_any_level_required),
    "permission": require_permission("users:read"),
    "lacking-permission": require_permission("users:write"),
    "fresh-permission": permitted(fresh_token_required),
    "permission-at-level": permitted(fresh_token_at_level_required(needs_phr)),
}

SCOPE = "insufficient_scope"
PERMISSION = "insufficient_permissions"
STALE = "reauthentication_required"
LEVEL = "step_up_required"

OF_ACCOUNT = ("login", "any-level", "fresh-login", "fresh-login-at-level", "optional")
ACCOUNT = ("account", "account-at-any-level")

CLOSED = dict.fromkeys((*OF_ACCOUNT, *ACCOUNT), SCOPE) | {"lacking-permission": PERMISSION}
OPEN = dict.fromkeys(OF_ACCOUNT, SCOPE) | {"lacking-permission": PERMISSION}

REFUSALS: dict[str, dict[str, str]] = {
    "user": {
        "fresh-login-at-level": LEVEL,
        "permission-at-level": LEVEL,
        "lacking-permission": PERMISSION,
    },
    "app": CLOSED | {"permission-at-level": LEVEL},
    "stale app": CLOSED | {"permission-at-level": LEVEL, "fresh-permission": STALE},
    "account app": OPEN | {"permission-at-level": LEVEL},
    "key": CLOSED | {"permission-at-level": SCOPE, "fresh-permission": SCOPE},
    "account key": OPEN | {"permission-at-level": SCOPE, "fresh-permission": SCOPE},
    "machine": CLOSED,
}
"""The code of each refusal; a call that is not named succeeds."""


def authenticator_of(*names: str) -> Authenticator:
    """Return an authenticator that knows some of the callers."""

    def authenticate(token: str) -> Authentication:
        if token not in names:
            raise InvalidTokenError
        return callers()[token.replace("-", " ")]

    return authenticate


def add_probes(app: Flask) -> FlaskClient:
    for name, guard in GUARDS.items():

        def view(name: str = name) -> dict[str, str]:
            if name == "optional":
                optional_actor()
            return {}

        add_probe(app, guard(view), rule=f"/api/v1/{name}")
    tokens = [name.replace(" ", "-") for name in REFUSALS]
    # The second authenticator is asked for what the first does not know.
    AUTHENTICATORS.fill(app, (authenticator_of(*tokens[:3]), authenticator_of(*tokens[3:])))
    return app.test_client()


def test_the_kind_of_caller_decides_what_it_may_call(app: Flask) -> None:
    client = add_probes(app)
    for caller, refusals in REFUSALS.items():
        headers = {"Authorization": f"Bearer {caller.replace(' ', '-')}"}
        answers = {name: client.get(f"/api/v1/{name}", headers=headers) for name in GUARDS}
        found = {
            name: answer.get_json()["code"]
            for name, answer in answers.items()
            if answer.status_code != 200
        }
        assert found == refusals, caller
        for name in (name for name, code in found.items() if code == SCOPE):
            # RFC 6750 §3.1.
            assert answers[name].status_code == 403
            assert answers[name].headers["WWW-Authenticate"] == f'Bearer error="{SCOPE}"'


def test_a_token_that_no_authenticator_knows_is_invalid(app: Flask) -> None:
    client = add_probes(app)
    answer = client.get("/api/v1/permission", headers={"Authorization": "Bearer another"})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "invalid_token")


def test_a_machine_has_no_account() -> None:
    with pytest.raises(LookupError):
        callers()["machine"].account  # noqa: B018
