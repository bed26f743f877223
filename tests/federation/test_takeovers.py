"""Attempts to take an account over by claims about its address (OpenID Connect Core §5.7).

`test_reclaim.py` has each possession of the first holder alone, `test_confirming.py` and
`test_linking.py` the links that others try to complete.
"""

from collections.abc import Callable, Iterator

import pytest
from flask import Flask

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.federation.policy import LinkPolicy
from authserve.federation.registry import delete_provider
from tests.support.api_keys import give_api_key
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller, login, register_caller
from tests.support.mail import open_mailbox, work
from tests.support.provider_sign_in import (
    LOOPBACK,
    SLUG,
    adjust_provider,
    code_of,
    count_rows,
    register_server,
    set_out,
)
from tests.support.providers import ProviderServer, provider_server
from tests.support.rows import change_user, count_sessions

EMAIL, NEW_PASSWORD = "alice@example.com", "another horse, another staple"

OTHER, OTHER_EMAIL = "other", "mallory@example.com"


@pytest.fixture
def site(make_app: Callable[..., Flask], server: ProviderServer) -> Flask:
    """An application by whose provider people sign in, and whose users may make API keys."""
    app = make_app(features=("pages", "federation", "api-keys"), outbound_hosts=LOOPBACK)
    register_server(app, server)
    return app


@pytest.fixture
def attacker(site: Flask) -> Caller:
    """An attacker, who was the first to register Alice's address, and has not verified it."""
    return register_caller(site, "alice")


@pytest.fixture
def other(site: Flask) -> Iterator[ProviderServer]:
    """Another provider, at which the attacker has an account."""
    with provider_server() as running:
        register_server(site, running, OTHER)
        running.claims = {"sub": "666", "email": OTHER_EMAIL, "email_verified": True}
        yield running


def link(visit: Visit, server: ProviderServer, slug: str) -> None:
    """Link a provider to the account of the signed-in person."""
    token = visit.open("/account/profile").form("/account/profile")["token"]
    shown = set_out(visit, server, slug, purpose="link", token=token).come_back()
    assert shown.location.startswith("/account/")


def way_on(shown: Shown) -> str:
    """Return where the button of a page that asks leads."""
    (found,) = [
        each.attrib["href"]
        for each in shown.tree.iterfind(".//main//a")
        if each.get("class") == "button primary full"
    ]
    return found


def ask_for_change(site: Flask, attacker: Caller) -> str:
    """Ask for another address; return the token of the link to it."""
    mailbox = open_mailbox(site)
    body = {"new_email": OTHER_EMAIL}
    assert attacker.post("/api/v1/users/me/email", json=body).status_code == 202
    work(site)
    return mailbox.to(OTHER_EMAIL)[-1].token


def reclaim(site: Flask, alice: Visit, asked: Shown) -> None:
    """Choose a password by a mail to Alice's address, as the page says."""
    mailbox = open_mailbox(site)
    alice.give(alice.open(way_on(asked)), email=EMAIL)
    work(site)
    token = mailbox.to(EMAIL)[-1].token
    alice.fill("/reset-password", link_token=token, new_password=NEW_PASSWORD)


def test_an_account_opened_by_an_attacker_becomes_its_owners_alone(
    site: Flask, attacker: Caller, server: ProviderServer, other: ProviderServer
) -> None:
    """Pre-hijacking: the attacker waits for Alice in an account that has her address."""
    browser = Visit(site)
    browser.sign_in("alice")
    link(browser, other, OTHER)
    assert set_out(Visit(site), other, OTHER).come_back().location == "/account"
    _id, key = give_api_key(site, attacker.id)
    pending = ask_for_change(site, attacker)

    alice = Visit(site)
    asked = alice.follow(set_out(alice, server).come_back())
    assert code_of(asked) == "account_exists"
    assert "no one has ever verified it" in asked.text
    assert alice.cookie() is None
    reclaim(site, alice, asked)
    alice.sign_in("alice", NEW_PASSWORD)
    asked = alice.follow(set_out(alice, server).come_back())
    alice.give(alice.follow(alice.open(way_on(asked))))
    assert set_out(Visit(site), server).come_back().location == "/account"

    assert browser.open("/account").status == 303
    assert attacker.get("/api/v1/users/me").status_code == 401
    assert login(site.test_client(), "alice").status_code == 401
    headers = {"Authorization": f"Bearer {key}"}
    assert site.test_client().get("/api/v1/users/me", headers=headers).status_code == 401
    body = {"token": pending, "password": NEW_PASSWORD}
    answer = site.test_client().post("/api/v1/users/me/email/confirm", json=body)
    assert answer.status_code == 400
    # The attacker's identity is a stranger's again, who gets an account of their own.
    again = Visit(site)
    assert set_out(again, other, OTHER).come_back().location == "/account"
    text = again.open("/account").text
    assert OTHER_EMAIL in text
    assert EMAIL not in text


@pytest.mark.parametrize("policy", LinkPolicy)
def test_an_unverified_account_is_joined_by_no_policy(
    site: Flask, attacker: Caller, server: ProviderServer, policy: LinkPolicy
) -> None:
    adjust_provider(site, link=policy, trusts_email=True)
    before, visit = count_rows(site), Visit(site)
    shown = visit.follow(set_out(visit, server).come_back())
    assert code_of(shown) == "account_exists"
    assert visit.cookie() is None
    assert count_rows(site) == before
    assert attacker.get("/api/v1/users/me").status_code == 200


@pytest.mark.parametrize("is_trusted", [True, False])
def test_another_subject_with_the_address_of_a_linked_person_is_a_stranger(
    site: Flask, server: ProviderServer, is_trusted: bool
) -> None:
    """The provider changes its mind about who has the address."""
    adjust_provider(site, trusts_email=is_trusted)
    assert set_out(Visit(site), server).come_back().location == "/account"
    server.claims["sub"] = "another"
    before, visit = count_rows(site), Visit(site)
    shown = visit.follow(set_out(visit, server).come_back())
    assert code_of(shown) == "account_exists"
    assert visit.cookie() is None
    assert count_rows(site) == before


def test_a_provider_that_swaps_two_addresses_moves_no_account(
    site: Flask, server: ProviderServer
) -> None:
    people = {"1": "one@example.com", "2": "two@example.com"}
    for subject, email in people.items():
        server.claims |= {"sub": subject, "email": email}
        assert set_out(Visit(site), server).come_back().location == "/account"
    for subject, email in {"1": "two@example.com", "2": "one@example.com"}.items():
        server.claims |= {"sub": subject, "email": email}
        visit = Visit(site)
        assert set_out(visit, server).come_back().location == "/account"
        text = visit.open("/account/profile").text
        assert people[subject] in text
        assert email not in text


def test_a_trusted_provider_joins_verified_accounts_alone(
    site: Flask, attacker: Caller, server: ProviderServer
) -> None:
    adjust_provider(site, link=LinkPolicy.VERIFIED, trusts_email=True)
    change_user(site, attacker.id, email_verified=True)
    server.claims["email_verified"] = False
    visit = Visit(site)
    shown = visit.follow(set_out(visit, server).come_back())
    assert (code_of(shown), visit.cookie()) == ("account_exists", None)
    server.claims["email_verified"] = True
    assert set_out(visit, server).come_back().location == "/account"
    assert count_sessions(site, user_id=attacker.id, kind="browser") == 1


def test_a_provider_under_a_former_ones_slug_opens_none_of_its_accounts(
    site: Flask, server: ProviderServer, other: ProviderServer
) -> None:
    """A subject counts within its issuer alone."""
    set_out(Visit(site), server).come_back()
    with site.app_context():
        for slug in (SLUG, OTHER):
            delete_provider(slug, actor=OPERATOR, request=RequestInfo())
    register_server(site, other)
    other.claims["sub"] = server.claims["sub"]
    stranger = Visit(site)
    assert set_out(stranger, other).come_back().location == "/account"
    assert OTHER_EMAIL in stranger.open("/account").text
    register_server(site, server, "former")
    owner = Visit(site)
    set_out(owner, server, "former").come_back()
    assert EMAIL in owner.open("/account").text
    assert count_rows(site) == [2, 3, 2]
