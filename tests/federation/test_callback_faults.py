"""Returns from a provider that are none: each check is broken once."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlencode

import pytest
import time_machine
from flask import Flask

from authserve.core.clock import now
from authserve.federation.state import STATE_TTL
from authserve.tokens.signing import LEEWAY_SECS
from tests.conftest import Log
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller
from tests.support.provider_sign_in import (
    SLUG,
    Journey,
    adjust_provider,
    code_of,
    count_rows,
    register_server,
    set_out,
)
from tests.support.providers import Answer, ProviderServer


@dataclass(frozen=True)
class Fault:
    """A fault of a return.

    Args:
        commit: makes it.
        status, code: of the page.
        is_asked: True if the provider is asked for tokens.
    """

    name: str
    commit: Callable[[Flask, Journey], Shown]
    status: int = 400
    code: str = "state_invalid"


def _in_another_browser(site: Flask, journey: Journey) -> Shown:
    return journey.come_back(visit=Visit(site))


def _in_a_browser_with_a_flow(site: Flask, journey: Journey) -> Shown:
    other = Visit(site)
    set_out(other, journey.server)
    return journey.come_back(visit=other)


def _with_anothers_state(site: Flask, journey: Journey) -> Shown:
    """An attacker's own answer, which a victim's browser is led to (login CSRF)."""
    attacker = set_out(Visit(site), journey.server)
    return journey.come_back(state=attacker.asked["state"])


def _with_the_secret_of_another_flow(site: Flask, journey: Journey) -> Shown:
    """A cookie of this name that another one's secret is in."""
    (name,) = [each for each in journey.visit.cookie_names() if "flow" in each]
    value = journey.visit.cookie(name) or ""
    begun, remembered, _rest = value.split(".", 2)
    journey.visit.client.set_cookie(name, f"{begun}.{remembered}.{'A' * 43}.")
    return journey.come_back()


def _at_another_provider(site: Flask, journey: Journey) -> Shown:
    register_server(site, journey.server, "other")
    query = urlencode({"code": "a code", "state": journey.asked["state"]})
    return journey.visit.open(f"/sign-in/with/other/callback?{query}")


def _with_a_changed_state(site: Flask, journey: Journey) -> Shown:
    state = journey.asked["state"]
    return journey.come_back(state=state[:-1] + ("A" if state[-1] != "A" else "B"))


def _too_late(site: Flask, journey: Journey) -> Shown:
    later = now() + STATE_TTL + timedelta(seconds=LEEWAY_SECS + 1)
    with time_machine.travel(later, tick=False):
        return journey.come_back()


def _with_a_code_twice(site: Flask, journey: Journey) -> Shown:
    query = urlencode([("code", "a"), ("code", "b"), ("state", journey.asked["state"])])
    return journey.visit.open(f"{journey.path}?{query}")


UNAVAILABLE = (503, "provider_unavailable")

FAULTS = (
    Fault("another browser", _in_another_browser),
    Fault("another browser with a flow", _in_a_browser_with_a_flow),
    Fault("another state", _with_anothers_state),
    Fault("another secret", _with_the_secret_of_another_flow),
    Fault("another provider", _at_another_provider),
    Fault("a changed state", _with_a_changed_state),
    Fault("no state", lambda _site, journey: journey.come_back(state=None)),
    Fault("too late", _too_late),
    Fault("a code twice", _with_a_code_twice),
    Fault("another issuer", lambda _, journey: journey.come_back(iss="https://x"), *UNAVAILABLE),
    Fault("no issuer", lambda _, journey: journey.come_back(iss=None), *UNAVAILABLE),
    Fault("no code", lambda _, journey: journey.come_back(code=None), *UNAVAILABLE),
    Fault("an error", lambda _, journey: journey.come_back(error="server_error"), *UNAVAILABLE),
)


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.name for fault in FAULTS])
def test_it_opens_nothing(site: Flask, visit: Visit, server: ProviderServer, fault: Fault) -> None:
    shown = fault.commit(site, set_out(visit, server))
    assert (shown.status, code_of(shown)) == (fault.status, fault.code)
    assert count_rows(site) == [0, 0, 0]
    assert server.asked("/token") == []
    assert shown.headers["Referrer-Policy"] == "no-referrer"
    assert shown.headers["Cache-Control"] == "no-store"


def test_the_issuer_may_be_missing_if_the_provider_sends_none(
    visit: Visit, server: ProviderServer
) -> None:
    metadata = server.metadata(authorization_response_iss_parameter_supported=False)
    server.answers["/.well-known/openid-configuration"] = lambda _: Answer(metadata)
    assert set_out(visit, server).come_back(iss=None).location == "/account"


def test_a_wrong_nonce_is_refused(site: Flask, visit: Visit, server: ProviderServer) -> None:
    journey, token = set_out(visit, server), server.sign(nonce="another")
    server.answers["/token"] = lambda _: Answer({"access_token": "at", "id_token": token})
    shown = journey.come_back()
    assert (shown.status, code_of(shown)) == UNAVAILABLE
    assert "flow" not in "".join(visit.cookie_names())
    assert count_rows(site) == [0, 0, 0]


def test_an_address_opens_once(site: Flask, visit: Visit, server: ProviderServer) -> None:
    journey = set_out(visit, server)
    assert journey.come_back().location == "/account"
    shown = journey.come_back()
    assert (shown.status, code_of(shown)) == (400, "state_invalid")
    assert count_rows(site) == [1, 1, 1]
    assert len(server.asked("/token")) == 1


def test_a_look_at_the_address_uses_nothing_up(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    """HEAD, which programs send to look at an address, is none of the ways back."""
    journey = set_out(visit, server)
    given = {"code": "a code", "state": journey.asked["state"], "iss": server.issuer}
    look = visit.client.head(journey.path, query_string=given, base_url=visit.base_url)
    assert (look.status_code, look.headers["Allow"]) == (405, "GET")
    assert server.asked("/token") == []
    assert journey.come_back().location == "/account"


def test_a_refusal_ends_the_way_too(site: Flask, visit: Visit, server: ProviderServer) -> None:
    journey = set_out(visit, server)
    assert code_of(journey.come_back(error="server_error")) == "provider_unavailable"
    assert code_of(journey.come_back()) == "state_invalid"
    assert count_rows(site) == [0, 0, 0]


def test_a_disabled_provider_lets_no_one_in(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    journey = set_out(visit, server)
    adjust_provider(site, enabled=False)
    assert journey.come_back().status == 404
    assert count_rows(site) == [0, 0, 0]


def test_who_says_no_there_may_choose_again(visit: Visit, server: ProviderServer) -> None:
    token = visit.open(visit.open("/account/sessions").location).form("/sign-in")["continue"]
    journey = set_out(visit, server, **{"continue": token})
    shown = visit.follow(journey.come_back(error="access_denied", code=None))
    assert shown.alert == "The sign-in at the other service was cancelled."
    assert shown.form("/sign-in")["continue"] == token
    assert "flow" not in "".join(visit.cookie_names())


def test_a_denial_is_logged(
    visit: Visit, server: ProviderServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    set_out(visit, server).come_back(error="access_denied", code=None)
    (line,) = [vars(each) for each in caplog.records if each.name == "authserve.federation.flow"]
    assert (line["message"], line["provider"]) == ("sign-in denied by a provider", SLUG)


def test_a_failure_and_a_refusal_are_logged(
    site: Flask, visit: Visit, server: ProviderServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    set_out(visit, server).come_back(error="server_error")
    adjust_provider(site, sign_up=False)
    set_out(visit, server).come_back()
    found = {each.message: vars(each) for each in caplog.records if "provider" in vars(each)}
    away, refused = found["provider unavailable"], found["sign-in by a provider refused"]
    reason = "it answered with an error: server_error"
    assert (away["levelname"], away["provider"], away["reason"]) == ("WARNING", SLUG, reason)
    assert (refused["levelname"], refused["provider"]) == ("INFO", SLUG)
    assert refused["reason"] == "sign_up_closed"


def test_the_log_has_the_code_of_each_page_that_does_not_sign_in(
    site: Flask, visit: Visit, server: ProviderServer, alice: Caller, log: Log
) -> None:
    def code_after(**answer: str) -> str | None:
        journey = set_out(visit, server)
        log()
        journey.come_back(**answer)
        (code,) = [line.get("code") for line in log() if line["event"] == "request"]
        return code

    assert code_after(error="server_error") == "provider_unavailable"
    server.claims["email"] = alice.user["email"]
    assert code_after() == "account_exists"
    del server.claims["email"]
    assert code_after() == "email_required"


def test_a_secret_that_no_key_opens_is_the_operators_fault(
    site: Flask, visit: Visit, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserve.federation.secrets.PURPOSE", "another")
    shown = set_out(visit, server).come_back()
    assert (shown.status, code_of(shown)) == UNAVAILABLE
