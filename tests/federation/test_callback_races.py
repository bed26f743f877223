"""Returns from a provider at the same moment."""

from collections import Counter
from functools import partial

import pytest
from flask import Flask
from sqlalchemy import func, select

from authserve.database.transactions import read_all
from authserve.federation.models import Identity
from authserve.users.models import TABLE as USERS
from tests.support.browsing import Shown, Visit
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases
from tests.support.provider_sign_in import Journey, code_of, set_out
from tests.support.providers import Answer, ProviderServer, Question
from tests.support.rows import audit_trail, count_sessions

pytestmark = both_databases

CALLERS = 20


class Codes:
    """The codes of a provider, each of which it redeems once, for the way that it belongs to."""

    def __init__(self, server: ProviderServer) -> None:
        self.server = server
        self.nonces: dict[str, str] = {}
        server.answers["/token"] = self.redeem

    def give(self, journey: Journey) -> str:
        """Return the code with which a way ends."""
        code = f"code {len(self.nonces)}"
        self.nonces[code] = journey.asked["nonce"]
        return code

    def redeem(self, question: Question) -> Answer:
        """Answer a token request."""
        # Atomic, so exactly one of several requests gets the nonce.
        nonce = self.nonces.pop(question.fields["code"], None)
        if nonce is None:
            return Answer({"error": "invalid_grant"}, status=400)
        return Answer({"access_token": "at", "id_token": self.server.sign(nonce=nonce)})


@pytest.fixture
def codes(server: ProviderServer) -> Codes:
    """Codes that the provider redeems once."""
    return Codes(server)


def copy_of(visit: Visit, site: Flask) -> Visit:
    """Return a browser with the cookies of another: a second request of the same one."""
    other = Visit(site)
    for name in visit.cookie_names():
        other.client.set_cookie(name, visit.cookie(name) or "")
    return other


def count(site: Flask, table: object) -> int:
    """Return the number of rows of a table."""
    with site.app_context():
        return int(read_all(select(func.count()).select_from(table))[0][0])  # type: ignore[arg-type]


def test_a_code_that_comes_twenty_times_opens_one_session(
    site: Flask, visit: Visit, server: ProviderServer, codes: Codes
) -> None:
    journey = set_out(visit, server)
    code = codes.give(journey)
    requests = [
        partial(journey.come_back, visit=copy_of(visit, site), code=code) for _ in range(CALLERS)
    ]
    # The page about a provider that refuses a code has the status 503.
    found = all_at_once(requests, until_served=False)
    assert Counter(outcome_of(shown) for shown in found) == {
        "/account": 1,
        "provider_unavailable": CALLERS - 1,
    }
    assert count_sessions(site) == count(site, USERS) == count(site, Identity) == 1


def outcome_of(shown: Shown) -> str:
    """Return where an answer leads, or its code."""
    return shown.location if shown.status == 303 else code_of(shown)


@pytest.mark.parametrize("_round", range(3))
def test_a_first_sign_in_twice_at_once_makes_one_account(
    site: Flask, server: ProviderServer, codes: Codes, _round: int
) -> None:
    """A person presses the button in two browsers."""
    journeys = [set_out(Visit(site), server) for _ in range(4)]
    calls = [partial(each.come_back, code=codes.give(each)) for each in journeys]
    assert [outcome_of(shown) for shown in all_at_once(calls)] == ["/account"] * 4
    assert count(site, USERS) == count(site, Identity) == 1
    assert count_sessions(site) == 4
    assert len(audit_trail(site, "user.registered")) == 1
    assert len(audit_trail(site, "identity.linked")) == 1


def test_two_people_with_one_address_at_once_get_one_account(
    site: Flask, server: ProviderServer
) -> None:
    """The provider says of two subjects that they have one address: the second one is asked."""
    journeys = [set_out(Visit(site), server) for _ in range(4)]
    tokens = {
        f"code {number}": server.sign(nonce=journey.asked["nonce"], sub=f"person {number}")
        for number, journey in enumerate(journeys)
    }
    server.answers["/token"] = lambda question: Answer(
        {"access_token": "at", "id_token": tokens[question.fields["code"]]}
    )
    calls = [partial(j.come_back, code=code) for j, code in zip(journeys, tokens, strict=True)]
    found = Counter(outcome_of(shown) for shown in all_at_once(calls))
    assert found["/account"] == 1
    assert count(site, USERS) == count(site, Identity) == count_sessions(site) == 1
