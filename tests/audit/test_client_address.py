"""The client address of a request, and the warning if all requests seem to share one."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.audit.status import find_shared_address
from authserve.core.actor import VISITOR, RequestInfo, UserRef
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from tests.factories import make_user
from tests.support.clients import Caller, register_caller
from tests.support.marks import both_databases
from tests.support.problems import assert_problem

PATH = "/api/v1/client-address"

MakeApp = Callable[..., Flask]


def ask(caller: Caller, peer: str = "198.51.100.9", forwarded_for: str = "") -> dict[str, Any]:
    headers = {"X-Forwarded-For": forwarded_for} if forwarded_for else {}
    environ = {"REMOTE_ADDR": peer}
    response = caller.get(PATH, headers=headers, environ_overrides=environ)
    assert response.status_code == 200, response.get_json()
    found: dict[str, Any] = response.get_json()
    return found


def test_without_trusted_proxies_it_is_the_peer_whatever_headers_claim(admin: Caller) -> None:
    assert ask(admin, forwarded_for="203.0.113.7, 192.0.2.1") == {
        "address": "198.51.100.9",
        "network": "198.51.100.9",
        "rule": "peer",
        "trusted_proxies": 0,
        "peer": "198.51.100.9",
        "forwarded_for": ["203.0.113.7", "192.0.2.1"],
        "warning": None,
    }


@pytest.mark.parametrize(
    ("count", "forwarded_for", "rule", "address"),
    [
        (1, "192.0.2.66, 203.0.113.7", "x_forwarded_for", "203.0.113.7"),
        (2, "192.0.2.66, 203.0.113.7, 10.0.0.1", "x_forwarded_for", "203.0.113.7"),
        (1, "", "peer", "198.51.100.9"),
        (2, "203.0.113.7", "peer", "198.51.100.9"),
    ],
)
def test_behind_proxies_it_is_what_the_outermost_trusted_one_saw(
    make_app: MakeApp, count: int, forwarded_for: str, rule: str, address: str
) -> None:
    admin = register_caller(make_app(trusted_proxies=count), "admin", roles=["admin"])
    found = ask(admin, forwarded_for=forwarded_for)
    assert (found["rule"], found["address"]) == (rule, address)
    assert (found["trusted_proxies"], found["peer"]) == (count, "198.51.100.9")


@pytest.mark.parametrize(
    ("peer", "address", "network"),
    [
        ("::ffff:203.0.113.7", "203.0.113.7", "203.0.113.7"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("", None, None),
    ],
)
def test_it_returns_the_address_and_its_network(
    admin: Caller, peer: str, address: str | None, network: str | None
) -> None:
    found = ask(admin, peer)
    assert (found["address"], found["network"], found["peer"]) == (address, network, address)


def test_only_readers_of_the_trail_may_ask(app: Flask, alice: Caller) -> None:
    assert_problem(alice.get(PATH), 403, "insufficient_permissions")
    assert_problem(app.test_client().get(PATH), 401, "authentication_required")


# One address for all clients


HERE, ELSEWHERE = "127.0.0.1", "203.0.113.7"


def happen(*, users: int, addresses: list[str | None], events: int = 20) -> None:
    """Record events of the users in turn, from each of the addresses in turn."""
    people = [make_user(f"user{number}") for number in range(users)]
    with transaction():
        for number in range(events):
            emit_from(addresses[number % len(addresses)], subject=people[number % users])


def emit_from(ip: str | None, *, subject: UserRef | None = None) -> None:
    """Let an attempt of a visitor at an address be throttled."""
    emit(
        AuditAction.SESSION_SIGN_IN_THROTTLED,
        outcome=Outcome.FAILURE,
        actor=VISITOR,
        subject=subject,
        request=RequestInfo(ip=ip),
    )


def doctor_finding(app: Flask) -> dict[str, Any]:
    result = app.test_cli_runner().invoke(args=["doctor", "--json"])
    document = json.loads(result.stdout[result.stdout.index("{\n") :])
    (found,) = [f for f in document["findings"] if f["check"] == "client addresses"]
    return dict(found)


@both_databases
def test_when_all_come_from_one_address_both_places_warn(app: Flask, admin: Caller) -> None:
    with app.app_context():
        happen(users=5, addresses=[HERE])
    warning = ask(admin)["warning"]
    assert warning.startswith("The last 22 events, of 6 users, all came from 127.0.0.1.")
    assert "TRUSTED_PROXIES" in warning
    assert doctor_finding(app) == {
        "check": "client addresses",
        "level": "warning",
        "message": warning,
    }


@pytest.mark.parametrize(
    "recent",
    [
        {"users": 3, "addresses": [HERE]},
        {"users": 5, "addresses": [HERE], "events": 17},
        {"users": 5, "addresses": [HERE, HERE, HERE, ELSEWHERE]},
        {"users": 5, "addresses": [None]},
    ],
    ids=["few users", "few events", "several addresses", "none"],
)
def test_otherwise_there_is_no_warning(app: Flask, admin: Caller, recent: dict[str, Any]) -> None:
    with app.app_context():
        happen(**recent)
    assert ask(admin)["warning"] is None
    assert doctor_finding(app)["level"] == "ok"


@pytest.mark.parametrize(
    ("users", "events", "is_warned"), [(5, 20, True), (4, 20, False), (5, 19, False)]
)
def test_twenty_events_of_five_users_are_enough(
    context: None, users: int, events: int, is_warned: bool
) -> None:
    happen(users=users, addresses=[HERE], events=events)
    assert (find_shared_address() is not None) is is_warned


def test_only_the_last_day_and_the_last_two_hundred_events_count(
    clock: time_machine.Traveller, context: None
) -> None:
    happen(users=5, addresses=[ELSEWHERE], events=30)
    clock.shift(timedelta(hours=1))
    with transaction():
        for _ in range(199):
            emit_from(HERE)
    # One from elsewhere is still among them.
    assert find_shared_address() is None
    clock.shift(timedelta(hours=22))
    with transaction():
        for number in range(5):
            emit_from(HERE, subject=make_user(f"late{number}"))
    found = find_shared_address()
    assert found is not None
    assert (found.ip, found.events, found.users) == (HERE, 200, 5)
    clock.shift(timedelta(hours=23))
    assert find_shared_address() is None


@pytest.mark.parametrize(
    ("count", "message"),
    [
        (0, "The client is the peer; X-Forwarded-For is ignored."),
        (1, "A client's address is the last in X-Forwarded-For."),
        (2, "A client's address is number 2 from the end in X-Forwarded-For."),
    ],
)
def test_the_doctor_reports_the_rule(make_app: MakeApp, count: int, message: str) -> None:
    assert doctor_finding(make_app(trusted_proxies=count))["message"] == message
