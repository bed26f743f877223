"""The delivery of logout tokens, to apps that take them and to others."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network
from typing import Any

import jwt
import pytest
import time_machine
from flask import Flask
from jwt import PyJWKSet

from authserve.clients.registry import change_client
from authserve.clients.status import LogoutDeliveries
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.outbound import OutboundLimits
from authserve.core.outbound_hosts import NO_HOSTS, OutboundHosts
from authserve.metrics.backchannel import read_backchannel
from authserve.oidc import backchannel
from authserve.oidc.backchannel import BREAKER_FAILURES, HANDLERS
from authserve.oidc.logout_deliveries import find_logout_deliveries
from authserve.oidc.logout_tokens import BACKCHANNEL_LOGOUT
from authserve.outbox.delivery import claim
from authserve.outbox.policy import HORIZON, LEASE
from authserve.outbox.worker import Worker
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_sessions
from authserve.settings.model import SETTINGS
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_user
from tests.oidc.conftest import App, MakeApp, claims_of
from tests.oidc.test_revoke import revoke
from tests.support.browsing import ORIGIN, Visit
from tests.support.clients import Caller
from tests.support.keys import jwks
from tests.support.logout_receiver import LogoutReceiver, logout_receiver
from tests.support.messages import messages, states
from tests.support.rows import audit_trail

EVENT = "http://schemas.openid.net/event/backchannel-logout"

LOOPBACK = OutboundHosts(networks=(ip_network("127.0.0.0/8"),))

RETRY = timedelta(seconds=101)
"""Longer than any pause between two tries."""


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application that may call apps at the loopback."""
    return make_app(features=("pages", "oidc"), outbound_hosts=LOOPBACK)


@pytest.fixture
def receiver() -> Iterator[LogoutReceiver]:
    with logout_receiver() as running:
        yield running


@pytest.fixture
def wiki(make_client: MakeApp, receiver: LogoutReceiver) -> App:
    """An app that takes logout tokens."""
    return make_client(backchannel_logout_uri=receiver.uri)


@pytest.fixture
def worker(app: Flask) -> Worker:
    return Worker(HANDLERS, (), context=app.app_context)


def end_one(app: App) -> str:
    """End a session of an app; return its id."""
    tokens = app.sign_in()
    revoke(app, tokens["refresh_token"])
    return str(claims_of(tokens["id_token"])["sid"])


def deliver(app: App, worker: Worker) -> int:
    """Deliver what is due; return how many tries that were."""
    with app.app.app_context():
        tries = 0
        while worker.deliver_one():
            tries += 1
    return tries


def find_state(app: App) -> LogoutDeliveries:
    with app.app.app_context():
        return find_logout_deliveries(app.client_id)


def test_discovery_says_so(app: Flask) -> None:
    """`oidcc-backchannel-logout-discovery-endpoint-verification`."""
    document = app.test_client().get("/.well-known/openid-configuration").get_json()
    assert document["backchannel_logout_supported"] is True
    assert document["backchannel_logout_session_supported"] is True


def test_a_sign_out_at_the_app_reaches_it(
    app: Flask, wiki: App, worker: Worker, receiver: LogoutReceiver
) -> None:
    """`oidcc-backchannel-rp-initiated-logout`."""
    visit = Visit(app)
    visit.sign_in("alice")
    wiki.browser_id = visit.session_id
    hint = wiki.sign_in()["id_token"]
    visit.open(f"/oauth/logout?id_token_hint={hint}")
    # The request itself calls no one.
    assert receiver.tokens == []
    assert deliver(wiki, worker) == 1
    (token,) = receiver.tokens
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("logout+jwt", "ES256")
    assert receiver.types == ["application/x-www-form-urlencoded"]
    key = PyJWKSet.from_dict({"keys": jwks(app)})[header["kid"]]
    claims = jwt.decode(token, key, algorithms=["ES256"], audience="wiki", issuer=ORIGIN)
    (message,) = messages(app, kind=BACKCHANNEL_LOGOUT)
    assert claims == {
        "iss": ORIGIN,
        "aud": "wiki",
        "sub": str(wiki.user_id),
        "sid": claims_of(hint)["sid"],
        "iat": claims["iat"],
        "exp": claims["iat"] + 120,
        "jti": str(message["id"]),
        "events": {EVENT: {}},
    }
    assert deliver(wiki, worker) == 0


def test_it_is_signed_as_the_apps_id_tokens_are(
    make_client: MakeApp, worker: Worker, receiver: LogoutReceiver
) -> None:
    wiki = make_client(signing_alg="RS256", backchannel_logout_uri=receiver.uri)
    end_one(wiki)
    deliver(wiki, worker)
    (token,) = receiver.tokens
    assert jwt.get_unverified_header(token)["alg"] == "RS256"


def test_all_sessions_of_a_user_are_one_token(
    wiki: App, worker: Worker, receiver: LogoutReceiver
) -> None:
    for _ in range(3):
        wiki.sign_in("openid", "offline_access")
    with wiki.app.app_context():
        user = ref_of(get_user(wiki.user_id))
        end_sessions(user, RevokeReason.LOGOUT_ALL, actor=OPERATOR, request=RequestInfo())
    deliver(wiki, worker)
    (claims,) = receiver.claims
    assert (claims["sub"], "sid" in claims) == (str(wiki.user_id), False)


@pytest.mark.parametrize("status", [200, 204])
def test_a_taken_token_is_recorded(
    wiki: App, worker: Worker, receiver: LogoutReceiver, status: int
) -> None:
    receiver.status = status
    sid = end_one(wiki)
    assert deliver(wiki, worker) == 1
    (event,) = audit_trail(wiki.app, "logout.delivered")
    (message,) = messages(wiki.app, kind=BACKCHANNEL_LOGOUT)
    assert (event["outcome"], event["correlation_id"]) == ("success", message["correlation_id"])
    assert event["details"] == {
        "client_id": "wiki",
        "message_id": str(message["id"]),
        "session_id": sid,
    }
    state = find_state(wiki)
    assert (state.delivered, state.failed, state.pending) == (1, 0, 0)
    assert state.delivered_at is not None


@pytest.mark.parametrize("status", [201, 302, 401, 404, 500, 503])
def test_other_answers_are_tried_again_with_the_same_id(
    clock: time_machine.Traveller,
    wiki: App,
    worker: Worker,
    receiver: LogoutReceiver,
    status: int,
) -> None:
    receiver.status = status
    end_one(wiki)
    assert deliver(wiki, worker) == 1
    state = find_state(wiki)
    assert (state.pending, state.last_error) == (1, f"the app answered {status}")
    clock.shift(RETRY)
    receiver.status = 200
    assert deliver(wiki, worker) == 1
    first, second = receiver.claims
    assert first["jti"] == second["jti"]
    assert second["iat"] - first["iat"] == RETRY.total_seconds()
    assert states(wiki.app, kind=BACKCHANNEL_LOGOUT) == {"sent": 1}


def test_a_refused_token_is_given_up(
    clock: time_machine.Traveller, wiki: App, worker: Worker, receiver: LogoutReceiver
) -> None:
    receiver.status = 400
    end_one(wiki)
    deliver(wiki, worker)
    clock.shift(RETRY)
    assert deliver(wiki, worker) == 0
    assert states(wiki.app, kind=BACKCHANNEL_LOGOUT) == {"dead": 1}
    (event,) = audit_trail(wiki.app, "logout.failed")
    assert (event["outcome"], event["details"]["reason"]) == ("failure", "the app answered 400")
    state = find_state(wiki)
    assert (state.delivered, state.failed, state.fault) == (0, 1, "the app answered 400")


class TestOutages:
    def test_a_receiver_that_is_down_for_an_hour(
        self,
        clock: time_machine.Traveller,
        make_client: MakeApp,
        worker: Worker,
    ) -> None:
        with logout_receiver() as gone:
            wiki = make_client(backchannel_logout_uri=gone.uri)
        end_one(wiki)
        for _ in range(3):
            assert deliver(wiki, worker) == 1
            clock.shift(timedelta(minutes=20))
        with logout_receiver() as back:
            call = {"actor": OPERATOR, "request": RequestInfo()}
            with wiki.app.app_context():
                change_client("wiki", {"backchannel_logout_uri": back.uri}, **call)  # type: ignore[arg-type]
            # The breaker's clock is real; a worker that starts anew has none open.
            backchannel.LOGOUT_SENDER.fill(wiki.app, backchannel.LogoutSender(LOOPBACK))
            deliver(wiki, worker)
            assert len(back.tokens) == 1

    def test_it_ends_after_a_day(
        self, clock: time_machine.Traveller, make_client: MakeApp, worker: Worker
    ) -> None:
        with logout_receiver() as gone:
            wiki = make_client(backchannel_logout_uri=gone.uri)
        end_one(wiki)
        clock.shift(HORIZON)
        deliver(wiki, worker)
        assert states(wiki.app, kind=BACKCHANNEL_LOGOUT) == {"dead": 1}
        (event,) = audit_trail(wiki.app, "logout.failed")
        assert event["details"]["reason"].startswith("the app cannot be reached: ")

    def test_a_slow_one_is_left_and_then_spared(
        self,
        clock: time_machine.Traveller,
        monkeypatch: pytest.MonkeyPatch,
        wiki: App,
        worker: Worker,
        receiver: LogoutReceiver,
    ) -> None:
        assert backchannel.LIMITS.total_secs == 5.0
        limits = OutboundLimits(total_secs=0.05, max_bytes=1)
        monkeypatch.setattr(backchannel, "LIMITS", limits)
        receiver.status = 0
        for _ in range(BREAKER_FAILURES + 2):
            end_one(wiki)
        assert deliver(wiki, worker) == BREAKER_FAILURES + 2
        # A busy machine may have no time to connect at all.
        assert len(receiver.tokens) <= BREAKER_FAILURES
        assert find_state(wiki).last_error == "the app did not answer just now"
        assert find_state(wiki).pending == BREAKER_FAILURES + 2

    def test_one_apps_outage_is_not_anothers(
        self, make_client: MakeApp, wiki: App, worker: Worker, receiver: LogoutReceiver
    ) -> None:
        with logout_receiver() as gone:
            other = make_client("other", backchannel_logout_uri=gone.uri)
        for _ in range(BREAKER_FAILURES):
            end_one(other)
        end_one(wiki)
        deliver(wiki, worker)
        assert [claims["aud"] for claims in receiver.claims] == ["wiki"]

    def test_a_worker_is_killed_after_the_answer(
        self,
        clock: time_machine.Traveller,
        wiki: App,
        worker: Worker,
        receiver: LogoutReceiver,
    ) -> None:
        end_one(wiki)
        with wiki.app.app_context():
            message = claim([BACKCHANNEL_LOGOUT])
            assert message is not None
            HANDLERS[BACKCHANNEL_LOGOUT].deliver(message)
        assert deliver(wiki, worker) == 0
        clock.shift(LEASE)
        assert deliver(wiki, worker) == 1
        first, second = receiver.claims
        assert first["jti"] == second["jti"]
        assert len(audit_trail(wiki.app, "logout.delivered")) == 1


class TestAddresses:
    """The registry has checked the address; it is checked again at each try."""

    @pytest.mark.parametrize("change", ["enabled", "backchannel_logout_uri"])
    def test_an_app_that_takes_none_any_more(
        self, wiki: App, worker: Worker, receiver: LogoutReceiver, change: str
    ) -> None:
        end_one(wiki)
        changes: Any = {change: False if change == "enabled" else None}
        with wiki.app.app_context():
            change_client("wiki", changes, actor=OPERATOR, request=RequestInfo())
        deliver(wiki, worker)
        assert receiver.tokens == []
        assert states(wiki.app, kind=BACKCHANNEL_LOGOUT) == {"dropped": 1}
        assert audit_trail(wiki.app, "logout.delivered", "logout.failed") == []

    def test_a_host_that_is_not_listed_any_more(
        self, wiki: App, worker: Worker, receiver: LogoutReceiver
    ) -> None:
        end_one(wiki)
        settings = SETTINGS.of(wiki.app)
        SETTINGS.fill(wiki.app, replace(settings, outbound_hosts=NO_HOSTS))
        deliver(wiki, worker)
        assert receiver.tokens == []
        assert "OUTBOUND_HOSTS" in (find_state(wiki).last_error or "")

    def test_a_private_address_is_refused_by_the_sender_too(
        self, wiki: App, worker: Worker, receiver: LogoutReceiver
    ) -> None:
        end_one(wiki)
        backchannel.LOGOUT_SENDER.fill(wiki.app, backchannel.LogoutSender(NO_HOSTS))
        deliver(wiki, worker)
        assert receiver.tokens == []
        assert "by https only" in (find_state(wiki).last_error or "")


def test_a_user_who_is_gone_has_no_event_of_their_own(
    wiki: App, worker: Worker, receiver: LogoutReceiver, admin: Caller
) -> None:
    wiki.sign_in()
    answer = admin.call("DELETE", f"/api/v1/users/{wiki.user_id}")
    assert answer.status_code == 204, answer.get_json()
    deliver(wiki, worker)
    assert [claims["sub"] for claims in receiver.claims] == [str(wiki.user_id)]
    (event,) = audit_trail(wiki.app, "logout.delivered")
    assert event["subject_audit_id"] is None


def test_metrics_count_the_outcomes(wiki: App, worker: Worker, receiver: LogoutReceiver) -> None:
    with wiki.app.app_context():
        assert [sample.value for metric in read_backchannel() for sample in metric.samples] == [
            0,
            0,
        ]
    end_one(wiki)
    deliver(wiki, worker)
    receiver.status = 400
    end_one(wiki)
    end_one(wiki)
    deliver(wiki, worker)
    with wiki.app.app_context():
        (metric,) = read_backchannel()
    found = {sample.labels["outcome"]: sample.value for sample in metric.samples}
    assert found == {"delivered": 1, "failed": 2}
