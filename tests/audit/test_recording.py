"""The audit trail's record of each event, and the transaction that writes it."""

from typing import Any

import pytest
from flask import Flask
from sqlalchemy import text
from werkzeug.test import TestResponse

from authserve.audit.record import details_digest
from authserve.core.actor import VISITOR, Actor, RequestInfo, UserRef
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.keys.policy import RotationCause
from authserve.keys.rotation import rotate
from authserve.rbac.assignment import set_roles
from authserve.users.accounts import activate, deactivate, ref_of
from authserve.users.lookup import get_user_by_reference
from tests.support.audit import Recorded, all_events
from tests.support.clients import PASSWORD
from tests.support.marks import both_databases
from tests.support.people import make_user

ADDRESS = "192.0.2.7"
AGENT = "Mozilla/5.0 (X11) Žlutý kůň"
CORRELATION_ID = "client-chosen.1"

REQUEST = RequestInfo(ip=ADDRESS, user_agent=AGENT, correlation_id=CORRELATION_ID)


def call(
    app: Flask, method: str, path: str, *, token: str | None = None, **kwargs: Any
) -> TestResponse:
    """A request whose origin is known."""
    headers = {"X-Correlation-ID": CORRELATION_ID, "User-Agent": AGENT.encode().decode("latin-1")}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    return app.test_client().open(
        f"/api/v1{path}",
        method=method,
        headers=headers,
        environ_base={"REMOTE_ADDR": ADDRESS},
        **kwargs,
    )


def sign_in(app: Flask, identifier: str, password: str = PASSWORD) -> TestResponse:
    body = {"identifier": identifier, "password": password}
    return call(app, "POST", "/auth/login", json=body)


def assert_recorded(
    event: Recorded,
    action: str,
    *,
    actor: UserRef | None = None,
    subject: UserRef | None = None,
    outcome: str = "success",
    request: RequestInfo = REQUEST,
    **details: Any,
) -> None:
    """Check actor, action, subject and origin, and the digest of what may be erased."""
    assert (event.action, event.outcome) == (action, outcome)
    assert event.actor == (actor.audit_id if actor else None)
    assert event.subject == (subject.audit_id if subject else None)
    assert RequestInfo(event.ip, event.user_agent, event.correlation_id) == request
    assert event.details == details
    assert event.salt is not None
    kept = {"ip": event.ip, "user_agent": event.user_agent, "details": event.details}
    assert event.details_digest == details_digest(event.salt, kept)


@pytest.fixture
def alice(context: None) -> UserRef:
    """Alice's account, with only its creation in the audit trail."""
    return make_user("alice")


def since(count: int) -> list[Recorded]:
    """The events after the first `count`."""
    return all_events()[count:]


def failures() -> list[Recorded]:
    """The sign-ins that failed; beside them, the first sign-in of all makes a signing key."""
    return all_events("session.sign_in_failed")


def test_a_registration(app: Flask, context: None) -> None:
    body = {"email": "bob@example.com", "username": "bob", "password": PASSWORD}
    assert call(app, "POST", "/auth/register", json=body).status_code == 201
    (event,) = all_events()
    bob = ref_of(get_user_by_reference("bob"))
    assert_recorded(event, "user.registered", subject=bob)


def test_a_sign_in(app: Flask, alice: UserRef) -> None:
    session_id = sign_in(app, "alice").get_json()["session_id"]
    events = [event for event in since(1) if event.action != "key.rotated"]
    assert_recorded(
        events[0],
        "session.started",
        actor=alice,
        subject=alice,
        session_id=session_id,
        amr=["pwd"],
        acr="aal1",
        known_device=True,
        kind="api",
    )
    assert len(events) == 1


def test_failed_sign_ins(app: Flask, alice: UserRef) -> None:
    make_user("bob", password=None)
    deactivate(make_user("charlie").id, actor=VISITOR, request=RequestInfo())
    attempts = {
        "wrong_password": ("alice", "wrong", alice),
        "unknown_identifier": ("unknown", PASSWORD, None),
        "no_password": ("bob", PASSWORD, ref_of(get_user_by_reference("bob"))),
        "account_disabled": ("charlie", PASSWORD, ref_of(get_user_by_reference("charlie"))),
    }
    for reason, (identifier, password, subject) in attempts.items():
        count = len(failures())
        assert sign_in(app, identifier, password).status_code in (401, 403)
        (event,) = failures()[count:]
        assert_recorded(
            event, "session.sign_in_failed", subject=subject, outcome="failure", reason=reason
        )


@both_databases
def test_a_changed_profile(app: Flask, alice: UserRef) -> None:
    token = sign_in(app, "alice").get_json()["access_token"]
    count = len(all_events())
    body = {"username": "liddell", "display_name": "Alice Liddell"}
    assert call(app, "PATCH", "/users/me", token=token, json=body).status_code == 200
    (event,) = since(count)
    fields = ["display_name", "username"]
    assert_recorded(event, "user.profile_changed", actor=alice, subject=alice, fields=fields)


@both_databases
def test_switching_an_account_off_and_on(alice: UserRef) -> None:
    root = Actor(user=make_user("root", roles=["admin"]))
    count = len(all_events())
    deactivate(alice.id, actor=root, request=REQUEST)
    activate(alice.id, actor=root, request=REQUEST)
    off, on = since(count)
    assert_recorded(off, "user.deactivated", actor=root.user, subject=alice)
    assert_recorded(on, "user.activated", actor=root.user, subject=alice)


def test_switching_off_records_the_sessions_that_end(app: Flask, alice: UserRef) -> None:
    sign_in(app, "alice")
    sign_in(app, "alice")
    count = len(all_events())
    deactivate(alice.id, actor=VISITOR, request=REQUEST)
    by_action = {event.action: event for event in since(count)}
    assert set(by_action) == {"user.deactivated", "session.revoked"}
    revoked = by_action["session.revoked"]
    assert_recorded(revoked, "session.revoked", subject=alice, reason="deactivated", count=2)


def test_other_roles(alice: UserRef) -> None:
    count = len(all_events())
    set_roles(alice, ["admin"], actor=Actor(user=alice), request=REQUEST)
    (event,) = since(count)
    assert_recorded(
        event,
        "user.roles_changed",
        actor=alice,
        subject=alice,
        granted=["admin"],
        revoked=["user"],
    )


def test_a_new_signing_key(context: None) -> None:
    kid = rotate(RotationCause.EMERGENCY, request=REQUEST).kid
    (event,) = all_events()
    assert_recorded(event, "key.rotated", kid=kid, cause="emergency")


def test_no_event_names_a_person(app: Flask, alice: UserRef) -> None:
    token = sign_in(app, "alice").get_json()["access_token"]
    sign_in(app, "alice@example.com", "wrong")
    sign_in(app, "alice@exampel.com", "wrong")
    call(app, "PATCH", "/users/me", token=token, json={"display_name": "Alice Liddell"})
    set_roles(alice, ["admin"], actor=Actor(user=alice), request=REQUEST)
    told = repr(all_events()).lower()
    for personal in ("alice", "liddell", "example.com", "exampel.com", PASSWORD):
        assert personal not in told


def test_equal_details_have_different_digests(alice: UserRef) -> None:
    for user in (alice, make_user("bob")):
        deactivate(user.id, actor=VISITOR, request=REQUEST)
    first, second = all_events("user.deactivated")
    assert first.details == second.details
    assert first.details_digest != second.details_digest


def test_a_changed_detail_does_not_fit_the_digest(alice: UserRef) -> None:
    (event,) = all_events()
    assert event.salt is not None
    kept = {"ip": event.ip, "user_agent": event.user_agent, "details": event.details}
    for name, value in {"ip": ADDRESS, "user_agent": AGENT, "details": {}}.items():
        assert details_digest(event.salt, {**kept, name: value}) != event.details_digest
    assert details_digest(bytes(16), kept) != event.details_digest


@both_databases
def test_a_use_case_that_fails_leaves_no_event(alice: UserRef) -> None:
    count = len(all_events())

    def fail() -> None:
        with transaction():
            deactivate(alice.id, actor=VISITOR, request=REQUEST)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert len(all_events()) == count


@both_databases
def test_what_cannot_be_recorded_does_not_happen(app: Flask, alice: UserRef) -> None:
    """Without the trail no account is deactivated and none is registered."""
    with transaction() as session:
        session.execute(text("ALTER TABLE audit_details RENAME TO away"))
    with pytest.raises(Exception, match="audit_details"):
        deactivate(alice.id, actor=VISITOR, request=REQUEST)
    body = {"email": "bob@example.com", "password": PASSWORD}
    assert call(app, "POST", "/auth/register", json=body).status_code >= 500
    with transaction() as session:
        session.execute(text("ALTER TABLE away RENAME TO audit_details"))
    assert get_user_by_reference("alice").is_active
    assert call(app, "POST", "/auth/register", json=body).status_code == 201


def test_an_event_outside_of_a_transaction_is_refused(context: None) -> None:
    with pytest.raises(RuntimeError, match="no transaction"):
        emit(AuditAction.USER_CREATED, actor=VISITOR, request=REQUEST)


def test_users_without_a_name_for_their_origin(app: Flask, alice: UserRef) -> None:
    """Off the network there is no address, and commands have no correlation id."""
    deactivate(alice.id, actor=VISITOR, request=RequestInfo())
    assert_recorded(all_events()[-1], "user.deactivated", subject=alice, request=RequestInfo())


def test_a_stranger_cannot_forge_an_origin(app: Flask, context: None) -> None:
    response = app.test_client().post(
        "/api/v1/auth/login",
        json={"identifier": "unknown", "password": PASSWORD},
        headers={
            "X-Forwarded-For": "203.0.113.9",
            "X-Correlation-ID": "not acceptable!",
            "User-Agent": "evil\x1b[31m agent " + "a" * 600,
        },
        environ_base={"REMOTE_ADDR": "::ffff:192.0.2.7"},
    )
    (event,) = failures()
    assert event.ip == ADDRESS
    assert event.correlation_id == response.headers["X-Correlation-ID"]
    assert event.user_agent is not None
    assert event.user_agent.startswith("evil[31m agent aaa")
    assert len(event.user_agent) == 512
