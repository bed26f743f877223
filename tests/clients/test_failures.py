"""The last failures of clients: few rows, and few events."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.clients.failures import (
    AUDIT_INTERVAL,
    MAX_KEPT,
    WRITE_INTERVAL,
    FailureReason,
    list_dropped_scopes,
    list_failures,
    note_dropped_scopes,
    note_failure,
)
from authserve.clients.registry import delete_client
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.oidc.errors import OAuthCode
from tests.support.audit import all_events
from tests.support.marks import both_databases
from tests.support.oauth_clients import give_client

pytestmark = pytest.mark.usefixtures("context")


def note(code: str, client_id: str = "wiki", *, correlation_id: str = "one") -> None:
    request = RequestInfo(correlation_id=correlation_id)
    note_failure(client_id, code, request=request, now=now())


def drop(*scopes: str) -> None:
    note_dropped_scopes("wiki", scopes, request=RequestInfo(), now=now())


def found() -> list[tuple[str, str | None]]:
    return [(failure.reason, failure.correlation_id) for failure in list_failures("wiki")]


@pytest.fixture
def wiki(app: Flask) -> None:
    """A client."""
    give_client(app)


@both_databases
def test_a_failure_is_written_once_a_minute_and_audited_once_an_hour(
    clock: time_machine.Traveller, wiki: None
) -> None:
    note("invalid_grant", correlation_id="one")
    note("invalid_grant", correlation_id="two")
    note("invalid_client", correlation_id="three")
    assert sorted(found()) == [("invalid_client", "three"), ("invalid_grant", "one")]
    clock.shift(WRITE_INTERVAL)
    note("invalid_grant", correlation_id="four")
    assert found()[0] == ("invalid_grant", "four")
    clock.shift(AUDIT_INTERVAL - WRITE_INTERVAL)
    note("invalid_grant", correlation_id="five")
    events = [event for event in all_events() if event.action.startswith("oauth")]
    assert [(event.action, event.details, event.correlation_id) for event in events] == [
        (AuditAction.OAUTH_REFUSED, {"client_id": "wiki", "reason": "invalid_grant"}, "one"),
        (AuditAction.OAUTH_CLIENT_AUTH_FAILED, {"client_id": "wiki"}, "three"),
        (AuditAction.OAUTH_REFUSED, {"client_id": "wiki", "reason": "invalid_grant"}, "five"),
    ]


@pytest.mark.parametrize("code", ["login_required", "temporarily_unavailable", "invalid_token"])
def test_what_a_healthy_client_meets_is_no_failure(wiki: None, code: str) -> None:
    note(code)
    assert found() == []


@pytest.mark.parametrize("client_id", ["unknown", "", "no id'", "authserve"])
def test_an_unknown_client_leaves_nothing(wiki: None, client_id: str) -> None:
    note("invalid_client", client_id)
    assert list_failures(client_id) == []


def test_a_deleted_client_leaves_nothing(wiki: None) -> None:
    delete_client("wiki", actor=OPERATOR, request=RequestInfo())
    note("invalid_client")
    assert found() == []


@both_databases
def test_many_dropped_scopes_are_cut(wiki: None) -> None:
    names = [str(number) for number in range(10, 100)]
    drop(*names)
    # With spaces between them, these have 200 characters.
    assert list_dropped_scopes("wiki") == names[:67]


@pytest.mark.parametrize(("length", "kept"), [(2, 67), (7, 25), (9, 20), (64, 3)])
def test_a_dropped_scope_is_recorded_whole_or_not(wiki: None, length: int, kept: int) -> None:
    names = [f"{number:0{length}}" for number in range(99)]
    note_dropped_scopes("wiki", names, request=RequestInfo(), now=now())
    assert list_dropped_scopes("wiki") == names[:kept]


def test_dropped_scopes_are_few_and_look_like_scopes(
    clock: time_machine.Traveller, wiki: None
) -> None:
    drop("phone", "<script>", "address")
    drop("other")
    assert list_dropped_scopes("wiki") == ["address", "phone"]
    for number in range(MAX_KEPT + 1):
        clock.shift(timedelta(minutes=1))
        drop(f"scope{number}")
    assert list_dropped_scopes("wiki") == [f"scope{n}" for n in range(1, MAX_KEPT + 1)]
    assert found() == []


def test_every_reason_is_a_code_of_oauth() -> None:
    codes: Callable[[FailureReason], OAuthCode] = OAuthCode
    others = set(FailureReason) - {FailureReason.SCOPE_DROPPED}
    assert [codes(reason) for reason in others]
