"""`/users/me/sessions`: where the caller is signed in."""

from datetime import timedelta
from uuid import uuid4

import time_machine
from flask import Flask

from authserve.core.clock import now, to_rfc3339
from authserve.http.pagination import encode_cursor
from tests.support.clients import Caller, login, sign_in
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import audit_trail, change_session, live_session_row

Clock = time_machine.Traveller

PATH = "/api/v1/users/me/sessions"


def test_it_shows_what_the_contract_names(clock: Clock, app: Flask, alice: Caller) -> None:
    began_at = now()
    clock.shift(60)
    assert alice.get(PATH).get_json() == {
        "items": [
            {
                "id": alice.tokens["session_id"],
                "kind": "api",
                "created_at": to_rfc3339(began_at),
                "last_used_at": to_rfc3339(began_at),
                "expires_at": to_rfc3339(began_at + timedelta(days=14)),
                "ip": "127.0.0.1",
                "user_agent": live_session_row(app, alice.session_id)["user_agent"],
                "amr": ["pwd"],
                "acr": "aal1",
                "current": True,
                "client": None,
                "parent_id": None,
                "scope": None,
                "is_offline": False,
            }
        ],
        "next_cursor": None,
    }


def test_a_session_expires_at_the_nearer_of_its_limits(
    clock: Clock, app: Flask, alice: Caller
) -> None:
    change_session(app, alice.session_id, expires_at=now() + timedelta(days=1))
    (item,) = alice.get(PATH).get_json()["items"]
    assert item["expires_at"] == to_rfc3339(now() + timedelta(days=1))


@both_databases
def test_it_pages_from_the_newest_to_the_oldest(app: Flask, alice: Caller, bob: Caller) -> None:
    ids = [alice.tokens["session_id"]]
    ids += [login(app.test_client(), "alice").get_json()["session_id"] for _ in range(4)]
    pages, cursor = [], ""
    while cursor is not None:
        page = alice.get(PATH, query_string={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        assert page.status_code == 200
        pages.append([item["id"] for item in page.get_json()["items"]])
        cursor = page.get_json()["next_cursor"]
    assert pages == [ids[4:2:-1], ids[2:0:-1], ids[:1]]
    assert bob.tokens["session_id"] not in ids


@both_databases
def test_only_live_sessions_are_shown(clock: Clock, app: Flask, alice: Caller) -> None:
    for column in ("revoked_at", "expires_at", "idle_expires_at"):
        other = login(app.test_client(), "alice").get_json()
        change_session(app, other["session_id"], **{column: now()})
    assert [item["id"] for item in alice.get(PATH).get_json()["items"]] == [
        alice.tokens["session_id"]
    ]


FORGED = ("", "x", "AAAA", "A" * 23, "A" * 22 + "=", "A" * 21 + "B", "é" * 22, str(uuid4()))


def test_a_forged_cursor_is_refused(alice: Caller) -> None:
    for cursor in FORGED:
        response = alice.get(PATH, query_string={"cursor": cursor})
        assert list(assert_problem(response, 422, "validation_failed")["errors"]) == ["cursor"]
    response = alice.get(PATH, query_string={"cursor": "\x00"})
    assert_problem(response, 400, "malformed_request")


def test_a_cursor_grants_nothing(app: Flask, alice: Caller, charlie: Caller) -> None:
    """It is no secret: a forged one, or another user's, only chooses where a page begins."""
    end = {"cursor": encode_cursor(uuid4())}
    for cursor in (end, {"cursor": encode_cursor(charlie.session_id)}):
        items = alice.get(PATH, query_string=cursor).get_json()["items"]
        assert {item["id"] for item in items} <= {alice.tokens["session_id"]}


def test_a_limit_out_of_range_is_refused(alice: Caller) -> None:
    for limit in ("0", "201", "-1", "x", "1.5", "", "10000000000000000000000"):
        response = alice.get(PATH, query_string={"limit": limit})
        assert list(assert_problem(response, 422, "validation_failed")["errors"]) == ["limit"]
    assert alice.get(PATH, query_string={"limit": "200"}).status_code == 200


def test_a_deleted_session_is_over_at_once(app: Flask, alice: Caller) -> None:
    other = login(app.test_client(), "alice").get_json()
    assert alice.delete(f"{PATH}/{other['session_id']}").status_code == 204
    headers = {"Authorization": f"Bearer {other['access_token']}"}
    response = app.test_client().get("/api/v1/users/me", headers=headers)
    assert_problem(response, 401, "session_revoked")
    response = app.test_client().post(
        "/api/v1/auth/refresh", json={"refresh_token": other["refresh_token"]}
    )
    assert_problem(response, 401, "session_revoked")
    assert alice.get("/api/v1/users/me").status_code == 200


def test_the_caller_may_delete_the_session_that_they_use(alice: Caller) -> None:
    assert alice.delete(f"{PATH}/{alice.session_id}").status_code == 204
    assert_problem(alice.get(PATH), 401, "session_revoked")


def test_what_is_not_the_callers_is_not_there(
    clock: Clock, app: Flask, alice: Caller, charlie: Caller
) -> None:
    """A stranger's session, an unknown one, one that ended and one that expired: all alike."""
    ended, expired = (login(app.test_client(), "charlie").get_json() for _ in range(2))
    assert charlie.delete(f"{PATH}/{ended['session_id']}").status_code == 204
    change_session(app, expired["session_id"], expires_at=now())
    ids = [alice.session_id, uuid4(), ended["session_id"], expired["session_id"]]
    problems = [
        assert_problem(charlie.delete(f"{PATH}/{id_}"), 404, "session_not_found") for id_ in ids
    ]
    assert len({problem["detail"] for problem in problems}) == 1
    assert alice.get(PATH).status_code == 200


def test_an_id_that_is_none_is_not_there(alice: Caller) -> None:
    for id_ in ("1", "me", "' OR 1=1 --", "..%2f", "0" * 36, f"{{{alice.session_id}}}"):
        assert_problem(alice.delete(f"{PATH}/{id_}"), 404, "not_found")


def test_strangers_have_no_sessions(app: Flask, alice: Caller) -> None:
    client = app.test_client()
    assert_problem(client.get(PATH), 401, "authentication_required")
    response = client.delete(f"{PATH}/{alice.session_id}")
    assert_problem(response, 401, "authentication_required")


def test_all_other_sessions_end_at_once(app: Flask, alice: Caller, bob: Caller) -> None:
    others = [sign_in(app.test_client(), "alice", user=alice.user) for _ in range(2)]
    assert alice.delete(PATH).status_code == 204
    assert alice.delete(PATH).status_code == 204
    assert [item["current"] for item in alice.get(PATH).get_json()["items"]] == [True]
    for other in others:
        assert_problem(other.get(PATH), 401, "session_revoked")
    assert bob.get(PATH).status_code == 200
    (event,) = audit_trail(app, "session.revoked")
    assert event["details"] == {"reason": "ended_by_user", "count": 2}
