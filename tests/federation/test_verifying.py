"""The address of an account without a password, where addresses must be verified to sign in.

The mailed link alone verifies none: the account may be a stranger's with another person's address.
"""

import pytest
from flask import Flask

from authserve.settings.model import EmailVerification
from tests.federation.conftest import MakeSite
from tests.support.browsing import Visit
from tests.support.mail import open_mailbox, work
from tests.support.provider_sign_in import adjust_provider, code_of, set_out
from tests.support.providers import ProviderServer
from tests.support.rows import audit_trail

EMAIL = "alice@example.com"


@pytest.fixture
def site(make_site: MakeSite) -> Flask:
    """An application in which unverified addresses may not sign in."""
    return make_site(email_verification=EmailVerification.REQUIRED)


@pytest.fixture
def link(site: Flask, visit: Visit, server: ProviderServer) -> str:
    """The token of the link that a person got, whom the provider has identified."""
    mailbox = open_mailbox(site)
    assert code_of(set_out(visit, server).come_back()) == "email_not_verified"
    work(site)
    return mailbox.to(EMAIL)[-1].token


def press(visit: Visit, link: str) -> bool:
    """Press the button behind the link, as a person without a password; return True if it helps."""
    shown = visit.fill("/verify-email", link_token=link)
    return shown.title.startswith("Your address is verified")


def test_the_identified_person_verifies_it_without_a_password(
    site: Flask, visit: Visit, server: ProviderServer, link: str
) -> None:
    assert "linked to your account, so nothing more" in visit.open("/verify-email").text
    assert press(visit, link)
    assert len(audit_trail(site, "user.email_verified")) == 1
    assert set_out(visit, server).come_back().location == "/account"


def test_the_link_can_be_opened_in_another_browser(
    site: Flask, server: ProviderServer, link: str
) -> None:
    other = Visit(site)
    assert not press(other, link)
    assert code_of(set_out(other, server).come_back()) == "email_not_verified"
    assert press(other, link)


def test_another_person_verifies_nothing(site: Flask, server: ProviderServer, link: str) -> None:
    """The owner of the address presses the button of a mail that a stranger caused."""
    victim = Visit(site)
    assert not press(victim, link)
    # Not even an own identity of theirs, with or without an account, helps.
    server.claims |= {"sub": "2", "email": "bob@example.com"}
    assert code_of(set_out(victim, server).come_back()) == "email_not_verified"
    assert not press(victim, link)
    server.claims |= {"sub": "3", "email": EMAIL}
    assert code_of(victim.follow(set_out(victim, server).come_back())) == "account_exists"
    assert not press(victim, link)
    assert audit_trail(site, "user.email_verified") == []


def test_a_provider_that_was_switched_off_proves_nothing(
    site: Flask, visit: Visit, link: str
) -> None:
    adjust_provider(site, enabled=False)
    assert not press(visit, link)
