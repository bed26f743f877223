"""docs/security-design.md: who may call what, which fields there are, which keys and secrets."""

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

import config
from authserve.audit import seal
from authserve.federation import secrets, state
from authserve.federation.pending_identities import PENDING_IDENTITY
from authserve.forwardauth.sign_in import STATE
from authserve.http.openapi import API_PREFIX
from authserve.keys.families import FAMILIES
from authserve.mfa import challenges, totp
from authserve.mfa.pending import MFA
from authserve.mfa.sign_in_codes import SIGN_IN
from authserve.oidc.tokens import REFRESH as CLIENT_REFRESH
from authserve.ratelimit import counters, throttle_keys
from authserve.rbac.policy import Permission
from authserve.tokens.device import DEVICE
from authserve.tokens.refresh import REFRESH
from authserve.users.models import User
from authserve.verification import tokens as one_time_tokens
from authserve.web import browser_session, notices
from authserve.web.continuation import CONTINUE
from tests.support.clients import Caller, register_caller
from tests.support.factors import raise_caller
from tests.support.operations import API_FEATURES

PAGE = (config.ROOT / "docs" / "security-design.md").read_text(encoding="utf-8")

CALL = re.compile(r"(GET|POST|PUT|PATCH|DELETE) `(/[^`]+)`")

UNKNOWN_ID = "01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every call of the API."""
    return make_app(features=API_FEATURES)


def section(title: str) -> str:
    """Return the text under a heading of the second level."""
    _, _, rest = PAGE.partition(f"\n## {title}\n")
    assert rest
    return rest.partition("\n## ")[0]


def table(text: str) -> list[list[str]]:
    """The cells of every row under a table's head."""
    lines = [line.strip("|").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in cells] for cells in lines[2:] if "---" not in cells[0]]


def rules() -> dict[str, list[tuple[str, str]]]:
    """Return the calls of each kind of caller."""
    rows_ = table(section("Who may do what").partition("\n### ")[0])
    return {who.strip("`"): CALL.findall(cell) for who, cell in rows_}


def paths(app: Flask) -> set[tuple[str, str]]:
    """Every call under the API, as the page writes it."""
    found = set()
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(API_PREFIX):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule.removeprefix(API_PREFIX))
            methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
            found |= {(method, f"/{path}") for method in methods}
    return found


def test_it_has_every_call_once(app: Flask) -> None:
    told = [call for calls in rules().values() for call in calls]
    assert sorted(told) == sorted(paths(app))


def answer(caller: Caller, call: tuple[str, str], *, is_anonymous: bool = False) -> tuple[int, str]:
    """Status and code of a call without a body, about a user that does not exist."""
    method, path = call
    url = API_PREFIX.rstrip("/") + re.sub(r"\{\w+_id\}", UNKNOWN_ID, path).replace(
        "{name}", "unknown"
    )
    send = caller.client.open if is_anonymous else lambda url, method: caller.call(method, url)
    response = send(url, method=method)
    return response.status_code, (response.get_json(silent=True) or {}).get("code", "")


@pytest.mark.parametrize("permission", Permission)
def test_a_permission_opens_its_calls_and_nothing_else_does(
    app: Flask, admin: Caller, permission: Permission
) -> None:
    others = sorted(set(Permission) - {permission})
    for name, permissions in (("most", others), ("one", [permission])):
        role = {"name": name, "permissions": permissions}
        assert admin.post("/api/v1/roles", json=role).status_code == 201
    most, one = (register_caller(app, name, roles=(name,)) for name in ("most", "one"))
    for caller in (most, one):
        raise_caller(app, caller)
    for call in rules()[permission]:
        assert answer(most, call) == (403, "insufficient_permissions"), call
        assert answer(one, call)[0] not in (401, 403), call
        assert answer(one, call, is_anonymous=True) == (401, "authentication_required"), call


def test_a_session_opens_what_needs_no_permission(app: Flask) -> None:
    for number, call in enumerate(rules()["every signed-in user"]):
        alice = register_caller(app, f"alice{number}")
        assert answer(alice, call, is_anonymous=True) == (401, "authentication_required"), call
        assert answer(alice, call)[0] not in (401, 403), call


def test_some_of_it_wants_a_fresh_one(make_app: Callable[..., Flask]) -> None:
    alice = register_caller(make_app(fresh_ttl=timedelta(0), features=API_FEATURES), "alice")
    for call in rules()["the same, fresh"]:
        assert answer(alice, call, is_anonymous=True) == (401, "authentication_required"), call
        assert answer(alice, call) == (401, "reauthentication_required"), call


def test_the_rest_is_open_to_every_client_or_to_a_sessions_token(alice: Caller) -> None:
    for call in rules()["every client"]:
        assert answer(alice, call, is_anonymous=True) == (400, "malformed_request"), call
    for call in rules()["a session's token"]:
        assert answer(alice, call, is_anonymous=True) == (401, "authentication_required"), call


def test_it_has_every_field_of_an_account() -> None:
    cells = [row[0] for row in table(section("Who may do what").partition("\n### ")[2])]
    told = sorted(name for cell in cells for name in re.findall(r"`(\w+)`", cell))
    assert told == sorted([*User.__table__.columns.keys(), "roles"])


def test_it_has_every_key_that_is_derived() -> None:
    told = set(re.findall(r"purpose `([\w-]+)`", section("Cryptography")))
    assert told == {
        *(family.seal_purpose for family in FAMILIES),
        CLIENT_REFRESH.purpose,
        totp.SEAL_PURPOSE,
        REFRESH.purpose,
        DEVICE.purpose,
        MFA.purpose,
        SIGN_IN.purpose,
        challenges.KEY_PURPOSE,
        one_time_tokens.KEY_PURPOSE,
        seal.KEY_PURPOSE,
        throttle_keys.PURPOSE,
        counters.PURPOSE,
        CONTINUE.purpose,
        STATE.purpose,
        browser_session.FORM_PURPOSE,
        notices.PURPOSE,
        secrets.PURPOSE,
        state.STATE.purpose,
        state.VERIFIER,
        state.NONCE,
        PENDING_IDENTITY.purpose,
    }


def test_it_states_when_each_secret_changes() -> None:
    named = [row[0] for row in table(section("Secrets"))]
    told = [name for cell in named for name in re.findall(r"`([A-Z_]+)`", cell)]
    assert told == list(config.SECRETS)
