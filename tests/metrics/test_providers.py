"""Counters of sign-ins by other providers."""

from collections.abc import Callable

import pytest
from flask import Flask

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.federation.upstream import BREAKER_FAILURES, UPSTREAM, ProviderUnavailableError
from tests.support.browsing import Visit
from tests.support.metrics import METRICS_TOKEN, Scrape, scrape
from tests.support.provider_sign_in import LOOPBACK, SLUG, register_server, set_out
from tests.support.providers import HOST, Answer, provider_server


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """A service that counts, with providers."""
    features = ("pages", "federation")
    return make_app(features=features, metrics_token=METRICS_TOKEN, outbound_hosts=LOOPBACK)


def values(found: Scrape, name: str, **wanted: str) -> float:
    """Return the sum of the series with these labels."""
    series = found.series(name).items()
    return sum(value for labels, value in series if wanted.items() <= dict(labels).items())


def test_calls_are_counted_and_breakers_are_shown(app: Flask) -> None:
    with provider_server() as provider:
        upstream = UPSTREAM.of(app)
        upstream.begin(provider.issuer).discover()
        provider.answers["/down"] = lambda _: Answer({}, status=500)
        for _ in range(BREAKER_FAILURES + 2):
            with pytest.raises(ProviderUnavailableError):
                upstream.begin(provider.issuer).get_document(f"{provider.issuer}/down")
        with pytest.raises(ProviderUnavailableError):
            upstream.begin(f"{provider.issuer}/tenant").discover()
    found = scrape(app.test_client())
    calls = "authserve_provider_calls_total"
    assert values(found, calls, host=HOST, outcome="answered") == 1
    assert values(found, calls, host=HOST, outcome="failed") == BREAKER_FAILURES + 1
    durations = "authserve_provider_call_duration_seconds_count"
    assert values(found, durations, host=HOST) == 2 + BREAKER_FAILURES
    states = {
        state: values(found, "authserve_breaker_workers", breaker=HOST, state=state)
        for state in ("closed", "open", "half-open")
    }
    assert states == {"closed": 1, "open": 1, "half-open": 0}


def test_sign_ins_are_counted_by_provider_and_outcome(app: Flask) -> None:
    with app.app_context(), transaction():
        for action, details in (
            (AuditAction.SESSION_STARTED, {"provider": "google", "amr": ["fed"]}),
            (AuditAction.SESSION_STARTED, {"amr": ["pwd"]}),
            (AuditAction.SESSION_SIGN_IN_FAILED, {"provider": "google", "reason": "deactivated"}),
            (
                AuditAction.IDENTITY_SIGN_IN_REFUSED,
                {"provider": "work", "reason": "account_exists"},
            ),
        ):
            emit(action, actor=VISITOR, request=RequestInfo(), details=details)
    series = scrape(app.test_client()).series("authserve_provider_sign_ins_total")
    assert {(dict(it)["provider"], dict(it)["outcome"]): n for it, n in series.items()} == {
        ("google", "success"): 1,
        ("google", "deactivated"): 1,
        ("work", "account_exists"): 1,
    }


def test_answers_that_fail_a_check_are_counted_by_provider_and_check(app: Flask) -> None:
    with provider_server() as provider:
        register_server(app, provider)
        visit = Visit(app)
        set_out(visit, provider).come_back(iss="https://id.example.com")
        journey, token = set_out(visit, provider), provider.sign(nonce="another")
        provider.answers["/token"] = lambda _: Answer({"access_token": "at", "id_token": token})
        journey.come_back()
        # An outage is no fault of an answer.
        provider.answers["/token"] = lambda _: Answer({}, status=500)
        set_out(visit, provider).come_back()
    series = scrape(app.test_client()).series("authserve_provider_answers_refused_total")
    assert {(dict(it)["provider"], dict(it)["check"]): n for it, n in series.items()} == {
        (SLUG, "issuer"): 1,
        (SLUG, "nonce"): 1,
    }
