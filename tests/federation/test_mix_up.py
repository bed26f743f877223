"""Answers that belong to another person, provider or way (RFC 9700 §4.4, §4.5, §4.7).

`test_callback_faults.py` has the faults of one way; here two ways, browsers or providers meet.
"""

import pytest
import time_machine
from flask import Flask

from authserve.core.outbound import OutboundClient
from authserve.federation.upstream import UPSTREAM, Upstream
from tests.support.browsing import Visit
from tests.support.provider_sign_in import (
    LOOPBACK,
    adjust_provider,
    count_rows,
    register_server,
    require_nothing,
    set_out,
)
from tests.support.providers import SECRET, Answer, ProviderServer, Question, provider_server
from tests.support.rows import count_sessions

ATTACKER = {"sub": "666", "email": "mallory@example.com", "name": "Mallory"}


def test_an_attackers_code_opens_nothing_on_the_victims_way(
    site: Flask, server: ProviderServer
) -> None:
    attacker, victim = Visit(site), Visit(site)
    theirs, own = set_out(attacker, server), set_out(victim, server)
    server.claims |= ATTACKER
    # The provider repeats the nonce with which the code was asked for.
    server.answers["/token"] = lambda _: Answer(
        {"access_token": "at", "id_token": server.sign(nonce=theirs.asked["nonce"])}
    )
    shown = own.come_back(code="the code of the attacker")
    require_nothing(site, victim, shown, "provider_unavailable", 503)


@pytest.mark.parametrize(
    "state", ["", "x", "a.b.c", "x" * 5_000], ids=["empty", "text", "dots", "long"]
)
def test_a_state_that_is_none_opens_nothing(
    site: Flask, server: ProviderServer, state: str
) -> None:
    visit = Visit(site)
    shown = set_out(visit, server).come_back(state=state)
    require_nothing(site, visit, shown, "state_invalid", 400)
    assert not server.asked("/token")


@pytest.mark.parametrize("name", ["state", "iss"])
def test_a_parameter_that_comes_twice_opens_nothing(
    site: Flask, server: ProviderServer, name: str
) -> None:
    visit = Visit(site)
    journey = set_out(visit, server)
    server.nonce = journey.asked["nonce"]
    query = f"code=a&iss={server.issuer}&state={journey.asked['state']}&{name}=b"
    shown = visit.open(f"{journey.path}?{query}")
    require_nothing(site, visit, shown, "state_invalid", 400)


def test_the_answer_of_one_provider_opens_nothing_at_another(
    site: Flask, server: ProviderServer
) -> None:
    """The mix-up: a hostile provider sends the browser to an honest one (RFC 9700 §4.4.1)."""
    with provider_server() as hostile:
        register_server(site, hostile, "hostile")
        visit = Visit(site)
        on_the_way = set_out(visit, hostile, "hostile")
        # The honest provider's code and issuer come to the hostile one's redirect URI.
        shown = on_the_way.come_back(code="honest", iss=server.issuer)
        require_nothing(site, visit, shown, "provider_unavailable", 503)
        assert not hostile.asked("/token")
        # The hostile one's state comes to the honest one's redirect URI.
        other = set_out(visit, server)
        path = f"{other.path}?code=x&iss={server.issuer}&state={on_the_way.asked['state']}"
        shown = visit.open(path)
        require_nothing(site, visit, shown, "state_invalid", 400)
        assert not server.asked("/token")


def test_a_code_is_sent_to_no_issuer_that_took_the_slug_in_the_meantime(
    site: Flask, server: ProviderServer
) -> None:
    """Otherwise a helper who moves a provider would read the codes of the people on their way."""
    visit = Visit(site)
    journey = set_out(visit, server)
    with provider_server() as other:
        adjust_provider(site, secret=SECRET, issuer=other.issuer)
        # With either issuer in the answer.
        for issuer in (server.issuer, other.issuer):
            shown = journey.come_back(iss=issuer)
            require_nothing(site, visit, shown, "state_invalid", 400)
        assert not other.questions


def test_no_new_secret_is_sent_to_the_former_issuer(site: Flask, server: ProviderServer) -> None:
    """The provider is replaced while a sign-in waits for the former one's metadata."""
    visit = Visit(site)
    journey = set_out(visit, server)
    UPSTREAM.fill(site, Upstream(OutboundClient(hosts=LOOPBACK)))

    def replace_and_answer(_: Question) -> Answer:
        adjust_provider(site, issuer="https://id.example.org", secret="of the new issuer")
        return Answer(server.metadata())

    server.answers["/.well-known/openid-configuration"] = replace_and_answer
    require_nothing(site, visit, journey.come_back(), "state_invalid", 400)
    assert not server.asked("/token")


def test_a_provider_that_claims_anothers_issuer_opens_no_account_of_it(
    site: Flask, server: ProviderServer
) -> None:
    assert set_out(Visit(site), server).come_back().status == 303
    with provider_server() as hostile:
        register_server(site, hostile, "hostile")
        before = count_rows(site)
        hostile.claims["sub"] = server.claims["sub"]
        hostile.answers["/token"] = lambda _: Answer(
            {"access_token": "at", "id_token": hostile.sign(iss=server.issuer)}
        )
        visit = Visit(site)
        shown = set_out(visit, hostile, "hostile").come_back()
        assert (shown.status, visit.cookie()) == (503, None)
        assert count_rows(site) == before


def test_four_ways_stay_open_at_once(
    site: Flask, server: ProviderServer, clock: time_machine.Traveller
) -> None:
    visit = Visit(site)
    ways = []
    for _ in range(5):
        ways.append(set_out(visit, server))
        clock.shift(1)
    first, *others = ways
    require_nothing(site, visit, first.come_back(), "state_invalid", 400)
    for journey in others:
        shown = journey.come_back()
        assert (shown.status, shown.location) == (303, "/account")


def test_two_tabs_end_in_the_last_ones_account(site: Flask, server: ProviderServer) -> None:
    visit = Visit(site)
    one, other = set_out(visit, server), set_out(visit, server)
    subjects = {one.asked["nonce"]: "1", other.asked["nonce"]: "2"}

    def answer(_: Question) -> Answer:
        subject = subjects[server.nonce or ""]
        claims = {"sub": subject, "email": f"tab-{subject}@example.com"}
        return Answer({"access_token": "at", "id_token": server.sign(**claims)})

    server.answers["/token"] = answer
    for journey in (other, one):
        assert journey.come_back().status == 303
    assert "tab-1@example.com" in visit.open("/account").text
    assert count_sessions(site, revoked_at=None) == 1
