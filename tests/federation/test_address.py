"""A person without an account whose provider names no address, and who types one."""

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask
from sqlalchemy import select

from authserve.auth import register
from authserve.database.transactions import read_all
from authserve.federation import resolve_pending
from authserve.settings.model import EmailVerification, Registration
from authserve.users.models import TABLE as USERS
from tests.federation.conftest import MakeSite
from tests.support.browsing import Shown, Visit
from tests.support.clients import register_caller
from tests.support.crowd import all_at_once
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.people import make_user
from tests.support.provider_sign_in import SLUG, adjust_provider, code_of, set_out
from tests.support.providers import ProviderServer
from tests.support.rows import audit_trail, change_user, count_sessions

EMAIL = "alice@example.com"

ADDRESS = f"/sign-in/with/{SLUG}/address"


@pytest.fixture
def server(server: ProviderServer) -> ProviderServer:
    """A provider that names no address."""
    del server.claims["email"], server.claims["email_verified"]
    return server


def come(visit: Visit, server: ProviderServer, **fields: str) -> Shown:
    """Come back from the provider, to the page that asks for an address."""
    answer = set_out(visit, server, **fields).come_back()
    assert answer.location.startswith(ADDRESS), answer.location
    return visit.follow(answer)


def give(visit: Visit, shown: Shown, email: str = EMAIL) -> Shown:
    """Type an address; redirects are not followed."""
    action = next(form.attrib["action"] for form in shown.tree.iterfind(".//main//form"))
    return visit.send(action, {**shown.form(action), "email": email})


def users(site: Flask) -> list[Mapping[str, Any]]:
    """Return all accounts."""
    with site.app_context():
        return [row._mapping for row in read_all(select(USERS).order_by(USERS.c.created_at))]


def test_it_opens_an_account_whose_address_is_to_be_verified(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    mailbox = open_mailbox(site)
    token = visit.open(visit.open("/account/sessions").location).form("/sign-in")["continue"]
    shown = come(visit, server, **{"continue": token, "remember": "1"})
    assert (code_of(shown), "Example Works" in shown.text) == ("email_required", True)
    answer = give(visit, shown, "Alice@Example.com")
    assert answer.location == "/account/sessions"
    (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("authserve=")]
    assert "Max-Age" in cookie
    (user,) = users(site)
    assert (user["email"], user["email_verified"]) == (EMAIL, False)
    assert (user["display_name"], user["password_hash"]) == ("Alice", None)
    assert not [name for name in visit.cookie_names() if "flow" in name]
    work(site)
    assert mailbox.to(EMAIL)
    assert set_out(Visit(site), server).come_back().location == "/account"


def test_a_pending_identity_is_good_once(site: Flask, visit: Visit, server: ProviderServer) -> None:
    shown = come(visit, server)
    (name,) = [each for each in visit.cookie_names() if "flow" in each]
    value = visit.cookie(name)
    give(visit, shown)
    visit.client.set_cookie(name, value or "")
    again = give(visit, shown, "other@example.com")
    assert (again.status, code_of(again)) == (400, "state_invalid")
    assert len(users(site)) == 1


@pytest.mark.parametrize("is_verified", [True, False], ids=["verified", "unverified"])
def test_a_taken_address_leads_to_its_owners_sign_in(
    site: Flask, visit: Visit, server: ProviderServer, is_verified: bool
) -> None:
    alice = register_caller(site, "alice")
    change_user(site, alice.id, email_verified=is_verified)
    shown = visit.follow(give(visit, come(visit, server)))
    assert code_of(shown) == "account_exists"
    assert ("no one has ever verified it" in shown.text) is not is_verified
    assert len(users(site)) == 1


def test_no_other_address_takes_the_place_of_a_named_one(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    alice = register_caller(site, "alice")
    change_user(site, alice.id, email_verified=True)
    page = come(visit, server)
    named = visit.follow(give(visit, page)).response.request.query_string.decode()
    shown = visit.open(f"{ADDRESS}?{named}")
    assert (shown.status, code_of(shown)) == (400, "state_invalid")
    refused = visit.send(f"{ADDRESS}?{named}", {**page.form(), "email": "other@example.com"})
    assert refused.status == 400
    assert len(users(site)) == 1


def test_a_fault_keeps_the_form(visit: Visit, server: ProviderServer) -> None:
    shown = give(visit, come(visit, server), "alice")
    assert shown.status == 422
    assert shown.fault("email")


def test_a_domain_that_is_not_listed_is_a_fault(
    make_site: MakeSite, server: ProviderServer
) -> None:
    domains = frozenset({"example.org"})
    visit = Visit(make_site(registration_domains=domains))
    shown = come(visit, server)
    assert "example.org" in shown.text
    refused = give(visit, shown)
    assert (refused.status, bool(refused.fault("email"))) == (422, True)
    assert give(visit, refused, "alice@example.org").location == "/account"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"sign_up": False}, "sign_up_closed"),
        ({"allowed_domains": frozenset({"example.org"})}, "domain_not_allowed"),
    ],
    ids=["closed", "another domain"],
)
def test_where_no_accounts_are_opened_by_now(
    make_site: MakeSite, server: ProviderServer, changes: dict[str, Any], code: str
) -> None:
    """A taken address gets the answer of a free one."""
    site = make_site(email_verification=EmailVerification.REQUIRED)
    with site.app_context():
        make_user("alice")
    visits = [Visit(site), Visit(site)]
    shown = [come(visit, server) for visit in visits]
    adjust_provider(site, **changes)
    for visit, page, email in zip(visits, shown, (EMAIL, "other@example.com"), strict=True):
        refused = give(visit, page, email)
        assert (refused.status, code_of(refused)) == (403, code)


def test_where_registration_is_closed_no_address_is_asked_for(
    make_site: MakeSite, server: ProviderServer
) -> None:
    visit = Visit(make_site(registration=Registration.CLOSED))
    assert code_of(set_out(visit, server).come_back()) == "sign_up_closed"


class TestWhereAddressesMustBeVerified:
    """The answer is the same for an address that has an account, whose owner gets a mail."""

    def test_known_and_unknown_addresses_are_alike(
        self, make_site: MakeSite, server: ProviderServer
    ) -> None:
        site = make_site(email_verification=EmailVerification.REQUIRED)
        mailbox = open_mailbox(site)
        with site.app_context():
            make_user("alice")
        answers = []
        for email in (EMAIL, "other@example.com"):
            server.claims["sub"] = email
            visit = Visit(site)
            shown = visit.follow(give(visit, come(visit, server), email))
            answers.append(shown.text.replace(email, "?"))
            assert visit.cookie() is None
            work(site)
            assert mailbox.to(email)
        assert answers[0] == answers[1]
        assert "Check your mail" in answers[0]
        assert len(audit_trail(site, "user.registration_repeated")) == 1

    def test_its_owner_signs_in_once_the_address_is_verified(
        self, make_site: MakeSite, server: ProviderServer
    ) -> None:
        site = make_site(email_verification=EmailVerification.REQUIRED)
        visit = Visit(site)
        give(visit, come(visit, server))
        assert code_of(set_out(visit, server).come_back()) == "email_not_verified"
        change_user(site, users(site)[0]["id"], email_verified=True)
        assert set_out(visit, server).come_back().location == "/account"

    def test_a_pending_identity_is_good_once_for_known_and_unknown_addresses(
        self, make_site: MakeSite, server: ProviderServer
    ) -> None:
        site = make_site(email_verification=EmailVerification.REQUIRED)
        visit = Visit(site)
        shown = come(visit, server)
        (name,) = [each for each in visit.cookie_names() if "flow" in each]
        value = visit.cookie(name) or ""
        give(visit, shown)
        for email in (EMAIL, "other@example.com"):
            visit.client.set_cookie(name, value)
            assert code_of(give(visit, shown, email)) == "state_invalid"

    def test_both_take_at_least_as_long(
        self, make_site: MakeSite, server: ProviderServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        site = make_site(email_verification=EmailVerification.REQUIRED)
        lasted = []

        @contextmanager
        def note(seconds: float) -> Iterator[None]:
            lasted.append(seconds)
            yield

        monkeypatch.setattr(resolve_pending, "taking_at_least", note)
        for email in (EMAIL, EMAIL):
            server.claims["sub"] = str(len(lasted))
            visit = Visit(site)
            give(visit, come(visit, server), email)
        assert lasted == [register.SILENT_SECS] * 2


@both_databases
def test_the_same_address_20_times_at_once_opens_one_account(
    site: Flask, server: ProviderServer
) -> None:
    """As many people without an address type the same one: one gets it."""
    visits = []
    for number in range(20):
        server.claims["sub"] = str(number)
        visit = Visit(site)
        visits.append((visit, come(visit, server)))
    answers = all_at_once([partial(give, *each) for each in visits])
    places = Counter(urlsplit(answer.location).path for answer in answers)
    assert places == {"/account": 1, f"/sign-in/with/{SLUG}/account-exists": 19}
    assert (len(users(site)), count_sessions(site)) == (1, 1)


@both_databases
def test_one_identity_20_times_at_once_opens_one_account(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    shown = come(visit, server)
    (name,) = [each for each in visit.cookie_names() if "flow" in each]
    visits = [Visit(site) for _ in range(20)]
    for other in visits:
        other.client.set_cookie(name, visit.cookie(name) or "")
    calls = [partial(give, each, shown, f"a{n}@example.com") for n, each in enumerate(visits)]
    statuses = Counter(answer.status for answer in all_at_once(calls))
    assert statuses == {303: 1, 400: 19}
    assert (len(users(site)), count_sessions(site)) == (1, 1)
