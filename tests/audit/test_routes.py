"""The API of the audit trail."""

from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update

from authserve.core.actor import VISITOR
from authserve.database.transactions import transaction
from authserve.users.accounts import delete_user, ref_of
from authserve.users.lookup import get_user
from authserve.users.models import User
from tests.factories import REQUEST, make_user
from tests.support.clients import Caller, login
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.trail import write_events

ALL = "/api/v1/audit-events"
OWN = "/api/v1/users/me/events"

FIELDS = {
    "id",
    "occurred_at",
    "action",
    "outcome",
    "actor_id",
    "actor_client_id",
    "subject_id",
    "ip",
    "user_agent",
    "correlation_id",
    "details",
}


def items(caller: Caller, path: str, **query: object) -> list[dict[str, Any]]:
    response = caller.get(path, query_string=query)
    assert response.status_code == 200, response.get_json()
    found: list[dict[str, Any]] = response.get_json()["items"]
    return found


def actions(found: list[dict[str, Any]]) -> list[str]:
    return [item["action"] for item in found]


# GET /audit-events


def test_it_shows_what_happened_newest_first(admin: Caller, alice: Caller) -> None:
    response = admin.get(ALL, query_string={"subject_id": str(alice.id)})
    assert response.headers["Cache-Control"] == "no-store"
    started, registered = response.get_json()["items"]
    assert set(started) == FIELDS
    assert actions([started, registered]) == ["session.started", "user.registered"]
    assert started["outcome"] == "success"
    assert started["subject_id"] == started["actor_id"] == str(alice.id)
    assert started["ip"] == "127.0.0.1"
    assert started["user_agent"].startswith("Werkzeug/")
    assert started["details"]["amr"] == ["pwd"]
    assert started["occurred_at"] > registered["occurred_at"]
    assert started["occurred_at"].endswith("Z")


def test_an_event_has_the_correlation_id_of_its_request(admin: Caller, alice: Caller) -> None:
    headers = {"X-Correlation-ID": "look-for-me"}
    assert alice.patch("/api/v1/users/me", json={"display_name": "A"}, headers=headers)
    (event,) = items(admin, ALL, action="user.profile_changed")
    assert event["correlation_id"] == "look-for-me"


def test_a_failure_is_shown_as_one(admin: Caller, alice: Caller) -> None:
    assert login(alice.client, "alice", "wrong").status_code == 401
    (event,) = items(admin, ALL, action="session.sign_in_failed")
    assert (event["outcome"], event["subject_id"]) == ("failure", str(alice.id))


def test_only_callers_with_the_permission_read_it(client: FlaskClient, charlie: Caller) -> None:
    assert_problem(charlie.get(ALL), 403, "insufficient_permissions")
    answer = client.get(ALL)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


@both_databases
def test_it_filters_by_action_actor_and_subject(admin: Caller, alice: Caller, bob: Caller) -> None:
    path = f"/api/v1/users/{alice.id}/sessions"
    assert admin.delete(path).status_code == 204
    (revoked,) = items(admin, ALL, action="session.revoked")
    assert (revoked["actor_id"], revoked["subject_id"]) == (str(admin.id), str(alice.id))
    assert revoked in items(admin, ALL, actor_id=admin.id)
    assert revoked in items(admin, ALL, subject_id=alice.id)
    assert items(admin, ALL, actor_id=admin.id, subject_id=alice.id) == [revoked]
    assert items(admin, ALL, actor_id=bob.id, subject_id=alice.id) == []
    assert items(admin, ALL, subject_id=uuid4()) == []
    assert {item["subject_id"] for item in items(admin, ALL, subject_id=bob.id)} == {str(bob.id)}


@both_databases
def test_it_filters_by_time_and_leaves_the_bounds_out(admin: Caller, alice: Caller) -> None:
    everything = items(admin, ALL)
    middle = everything[2]["occurred_at"]
    assert items(admin, ALL, after=middle) == everything[:2]
    assert items(admin, ALL, before=middle) == everything[3:]
    assert items(admin, ALL, after=middle, before=middle) == []
    # The same moment, written in another zone.
    elsewhere = datetime.fromisoformat(middle).isoformat()
    assert items(admin, ALL, after=elsewhere) == everything[:2]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("action", "user.exploded"),
        ("action", "USER_REGISTERED"),
        ("actor_id", "alice"),
        ("subject_id", "1"),
        ("after", "yesterday"),
        ("after", "2030-01-01T00:00:00"),
        ("before", "2030-13-01T00:00:00Z"),
        ("limit", "0"),
        ("limit", "201"),
        ("limit", "many"),
        ("cursor", "forged!"),
        ("cursor", "AAAA"),
        # Of a release whose list was ordered by id alone.
        ("cursor", "AZMvXnwafTufPjpbbH2Onw"),
        ("outcome", "failure"),
    ],
)
def test_it_refuses_what_it_does_not_understand(admin: Caller, name: str, value: str) -> None:
    problem = assert_problem(admin.get(ALL, query_string={name: value}), 422, "validation_failed")
    assert set(problem["errors"]) == {name}


@both_databases
@pytest.mark.parametrize(
    ("path", "bounds"),
    [
        (ALL, {}),
        (ALL, {"after": "2000-01-01T00:00:00Z", "before": "9998-01-01T00:00:00Z"}),
        (OWN, {}),
    ],
)
def test_its_pages_hold_every_event_once(admin: Caller, path: str, bounds: dict[str, str]) -> None:
    for number in range(5):
        name = {"display_name": f"Admin {number}"}
        assert admin.patch("/api/v1/users/me", json=name).status_code == 200
    everything = items(admin, path, **bounds)
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        query = {"limit": 3, **bounds, **({"cursor": cursor} if cursor else {})}
        page = admin.get(path, query_string=query).get_json()
        found += page["items"]
        cursor, pages = page["next_cursor"], pages + 1
        assert len(page["items"]) <= 3
    assert found == everything
    assert pages == -(-len(everything) // 3)


@both_databases
def test_a_page_stays_as_it_was_while_events_are_added(admin: Caller) -> None:
    first = admin.get(ALL, query_string={"limit": 1}).get_json()
    query = {"limit": 1, "cursor": first["next_cursor"]}
    second = admin.get(ALL, query_string=query).get_json()
    admin.patch("/api/v1/users/me", json={"display_name": "New"})
    assert admin.get(ALL, query_string=query).get_json() == second


# GET /users/me/events


@both_databases
def test_users_see_what_they_did_and_what_happened_to_them(admin: Caller, alice: Caller) -> None:
    done = admin.patch(f"/api/v1/users/{alice.id}", json={"display_name": "Alice L."})
    assert done.status_code == 200
    changed, started, registered = items(alice, OWN)
    assert actions([changed, started, registered]) == [
        "user.profile_changed",
        "session.started",
        "user.registered",
    ]
    assert (changed["actor_id"], changed["subject_id"]) == (str(admin.id), str(alice.id))
    # Only the administrator sees the address of the administrator's action.
    (own,) = [event for event in items(admin, OWN) if event["id"] == changed["id"]]
    assert changed == {**own, "ip": None, "user_agent": None}
    assert own["ip"] == "127.0.0.1"


def test_no_user_sees_events_of_others(alice: Caller, charlie: Caller) -> None:
    mine = items(charlie, OWN)
    assert mine
    for item in mine:
        assert str(charlie.id) in (item["actor_id"], item["subject_id"])
    assert not {item["id"] for item in mine} & {item["id"] for item in items(alice, OWN)}


def test_a_cursor_of_someone_else_grants_nothing(alice: Caller, charlie: Caller) -> None:
    cursor = alice.get(OWN, query_string={"limit": 1}).get_json()["next_cursor"]
    for item in items(charlie, OWN, cursor=cursor):
        assert str(charlie.id) in (item["actor_id"], item["subject_id"])


@pytest.mark.parametrize("name", ["subject_id", "action", "cursor"])
def test_own_events_take_no_filters_and_no_forged_cursor(alice: Caller, name: str) -> None:
    answer = alice.get(OWN, query_string={name: str(alice.id)})
    assert set(assert_problem(answer, 422, "validation_failed")["errors"]) == {name}


def test_own_events_need_a_token(client: FlaskClient) -> None:
    assert client.get(OWN).status_code == 401


# After the end of an account


def test_the_events_of_a_deleted_user_stay_without_personal_data(
    admin: Caller, alice: Caller
) -> None:
    before = {item["id"] for item in items(admin, ALL, subject_id=alice.id)}
    alices = str(alice.id)
    assert alice.delete("/api/v1/users/me").status_code == 204
    left = [item for item in items(admin, ALL) if item["id"] in before]
    assert len(left) == len(before)
    (deleted,) = items(admin, ALL, action="user.deleted")
    for item in [*left, deleted]:
        assert item["subject_id"] == alices
        assert item["actor_id"] in (alices, None)
        assert (item["ip"], item["user_agent"], item["details"]) == (None, None, {})
    found = {item["id"] for item in items(admin, ALL, subject_id=alices)}
    assert found == {*before, deleted["id"]}
    assert deleted in items(admin, ALL, actor_id=alices)


@both_databases
def test_an_account_of_an_earlier_release_is_found_by_its_id_after_its_deletion(
    app: Flask, admin: Caller
) -> None:
    with app.app_context():
        older = make_user("older")
        with transaction() as session:
            session.execute(update(User).where(User.id == older.id).values(audit_id=uuid4()))
        older = ref_of(get_user(older.id))
        write_events(user=older)
        delete_user(older, actor=VISITOR, request=REQUEST)
    for event in items(admin, ALL, subject_id=older.id):
        assert event["subject_id"] == str(older.id)
    found = [event["action"] for event in items(admin, ALL, subject_id=older.id)]
    assert found == ["user.deleted", "user.registered"]


def test_no_event_is_found_by_an_id_that_no_user_had(admin: Caller) -> None:
    assert items(admin, ALL, subject_id=uuid4()) == []


@both_databases
def test_it_filters_by_the_id_of_the_request(admin: Caller, alice: Caller) -> None:
    headers = {"X-Correlation-ID": "look-for-me"}
    alice.patch("/api/v1/users/me", json={"display_name": "A"}, headers=headers)
    alice.patch("/api/v1/users/me", json={"display_name": "B"})
    (event,) = items(admin, ALL, correlation_id="look-for-me")
    assert (event["action"], event["correlation_id"]) == ("user.profile_changed", "look-for-me")
    assert items(admin, ALL, correlation_id="look-for-me", action="user.deleted") == []
    assert items(admin, ALL, correlation_id="LOOK-FOR-ME") == []


@pytest.mark.parametrize("value", ["", "a b", "x" * 65, "a\n", "ä", "*"])
def test_it_refuses_what_is_no_id_of_a_request(admin: Caller, value: str) -> None:
    answer = admin.get(ALL, query_string={"correlation_id": value})
    assert_problem(answer, 422, "validation_failed")
