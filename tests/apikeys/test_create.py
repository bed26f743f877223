"""Making of API keys."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.apikeys.create import create_key
from authserve.apikeys.errors import TooManyKeysError
from authserve.apikeys.listing import find_keys
from authserve.apikeys.policy import DEFAULT_LIFETIME, MAX_LIVE_KEYS
from authserve.auth.queries import find_session
from authserve.core.actor import RequestInfo
from authserve.core.errors import AuthserveError, SessionRevokedError
from authserve.core.key_text import is_key_text
from tests.apikeys.conftest import OWN, MakeKey
from tests.support.clients import Caller, register_caller
from tests.support.crowd import all_at_once
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.rows import audit_trail, change_role, change_user

BODY = {"name": "Report", "scopes": ["account"]}

UNACCEPTABLE: list[tuple[dict[str, object], str]] = [
    ({"scopes": []}, "scopes"),
    ({"scopes": ["openid"]}, "scopes"),
    ({"scopes": ["users:raed"]}, "scopes"),
    ({"expires_in": 59}, "expires_in"),
    ({"expires_in": 365 * 86_400 + 1}, "expires_in"),
    ({"name": "x" * 65}, "name"),
]


def test_the_owner_gets_a_key_once(app: Flask, alice: Caller) -> None:
    answer = alice.post(OWN, json={"name": "Nightly report", "scopes": ["account"]})
    made = answer.get_json()
    assert answer.status_code == 201
    assert is_key_text(made["key"], "ask_")
    assert made["hint"] == made["key"][-4:]
    (listed,) = alice.get(OWN).get_json()["items"]
    assert "key" not in listed
    shown = {name: listed[name] for name in ("id", "name", "hint", "scopes", "expires_at")}
    assert shown == {name: made[name] for name in shown}
    assert (listed["last_used_at"], listed["last_used_ip"]) == (None, None)
    (event,) = audit_trail(app, "api_key.created")
    assert event["details"] == {"key_id": made["id"], "scopes": ["account"]}
    mailbox = open_mailbox(app)
    work(app)
    assert 'An API key "Nightly report" was made' in mailbox.to("alice@example.com")[-1].text


def test_a_prefix_of_the_operators_own(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("api-keys",), api_key_prefix="acme_")
    alice = register_caller(app, "alice")
    change_user(app, alice.id, email_verified=True)
    assert alice.post(OWN, json=BODY).get_json()["key"].startswith("acme_")


def test_what_no_key_can_have(alice: Caller) -> None:
    for change, field in UNACCEPTABLE:
        answer = alice.post(OWN, json={**BODY, **change})
        assert (answer.status_code, list(answer.get_json()["errors"])) == (422, [field]), change


FIFTY = tuple(f"stock:part{number}" for number in range(50))


@pytest.mark.parametrize(
    ("scopes", "code"),
    [
        ((), "validation_failed"),
        (FIFTY, "insufficient_permissions"),
        (FIFTY * 2, "insufficient_permissions"),
        ((*FIFTY, "account"), "validation_failed"),
    ],
    ids=["none", "fifty", "fifty twice", "too many"],
)
def test_fifty_scopes_are_enough(
    app: Flask, alice: Caller, scopes: tuple[str, ...], code: str
) -> None:
    with app.app_context():
        session = find_session(alice.session_id)
        assert session is not None
        with pytest.raises(AuthserveError) as refused:
            create_key(
                name="Report",
                scopes=scopes,
                expires_in=DEFAULT_LIFETIME,
                actor=session.actor,
                request=RequestInfo(),
            )
    assert refused.value.code == code


def test_a_key_has_no_more_than_its_owner(app: Flask, alice: Caller, admin: Caller) -> None:
    body = {**BODY, "scopes": ["account", "users:read"]}
    refused = alice.post(OWN, json=body)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "insufficient_permissions")
    scopes = ["users:read", "roles:read", "account", "audit:read"]
    made = admin.post(OWN, json={**BODY, "scopes": scopes})
    assert (made.status_code, made.get_json()["scopes"]) == (201, sorted(scopes))
    change_role(app, "admin", requires_mfa=True)
    assert admin.post(OWN, json=body).get_json()["code"] == "step_up_required"


def test_the_address_must_be_verified(bob: Caller) -> None:
    refused = bob.post(OWN, json=BODY)
    assert (refused.status_code, refused.get_json()["code"]) == (403, "email_not_verified")


def test_it_needs_a_fresh_token(alice: Caller, clock: time_machine.Traveller) -> None:
    clock.shift(301)
    answer = alice.post(OWN, json=BODY)
    assert answer.status_code == 401


def test_keys_made_an_hour_are_limited(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("api-keys",), ratelimit_enabled=True)
    alice = register_caller(app, "alice")
    # The refusals of an unverified address count too.
    for _ in range(10):
        assert alice.post(OWN, json=BODY).status_code == 403
    assert alice.post(OWN, json=BODY).status_code == 429


def test_expired_keys_make_room(
    clock: time_machine.Traveller, alice: Caller, make_key: MakeKey
) -> None:
    make_key(alice, expires_in=timedelta(seconds=60))
    clock.shift(60)
    (expired,) = alice.get(OWN).get_json()["items"]
    kept = make_key(alice)
    (listed,) = alice.get(OWN).get_json()["items"]
    assert listed["id"] == str(kept.id) != expired["id"]


@both_databases
def test_twenty_callers_make_fifty_keys_at_most(app: Flask, alice: Caller) -> None:
    with app.app_context():
        session = find_session(alice.session_id)
    assert session is not None

    def make() -> str | None:
        try:
            with app.app_context():
                create_key(
                    name="Report",
                    scopes=["account"],
                    expires_in=DEFAULT_LIFETIME,
                    actor=session.actor,
                    request=RequestInfo(),
                )
        except TooManyKeysError as error:
            return error.code
        return None

    for _ in range(MAX_LIVE_KEYS - 10):
        make()
    outcomes = all_at_once([make] * 20)
    assert outcomes.count(None) == 10
    assert outcomes.count("too_many_keys") == 10
    with app.app_context():
        assert len(find_keys(alice.id)) == MAX_LIVE_KEYS


@pytest.mark.usefixtures("context")
def test_no_key_is_made_by_a_session_that_has_ended(app: Flask, alice: Caller) -> None:
    session = find_session(alice.session_id)
    assert session is not None
    alice.post("/api/v1/auth/logout-all")
    with pytest.raises(SessionRevokedError):
        create_key(
            name="Report",
            scopes=["account"],
            expires_in=DEFAULT_LIFETIME,
            actor=session.actor,
            request=RequestInfo(),
        )
