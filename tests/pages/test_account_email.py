"""Another address: asked for, shown while it is pending, withdrawn, confirmed."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller, register_caller
from tests.support.mail import open_mailbox, work
from tests.support.rows import audit_trail

EMAIL, WITHDRAW = "/account/email", "/account/email/withdraw"
NEW = "ada@example.com"


def ask(visit: Visit, address: str = NEW) -> Shown:
    """Sign in and ask for another address."""
    visit.sign_in()
    return visit.follow(visit.send(EMAIL, {**visit.open(EMAIL).form(EMAIL), "new_email": address}))


def test_it_mails_a_link_and_shows_the_pending_change(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    mailbox = open_mailbox(app)
    shown = ask(visit)
    assert f"A mail is on its way to {NEW} " in shown.text
    work(app)
    assert len(mailbox.to(NEW)) == 1
    assert f"A mail is on its way to {NEW} " in visit.open(EMAIL).text
    assert audit_trail(app, "user.email_change_requested")


def test_an_address_of_another_account_looks_the_same(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    bob = register_caller(app, "bob")
    address = str(bob.user["email"])
    assert f"on its way to {address} " in ask(visit, address).text
    work(app)
    assert f"on its way to {address} " in visit.open(EMAIL).text


def test_a_pending_change_can_be_withdrawn(app: Flask, visit: Visit, alice: Caller) -> None:
    fields = ask(visit).form(WITHDRAW)
    shown = visit.follow(visit.send(WITHDRAW, fields))
    assert "The change is withdrawn." in shown.text
    assert NEW not in shown.html
    # A second press is harmless.
    assert visit.send(WITHDRAW, fields).status == 303
    assert len(audit_trail(app, "user.email_change_withdrawn")) == 1


@pytest.mark.parametrize("end", ["confirmed", "reset", "old"])
def test_a_change_that_is_over_is_not_shown(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller, end: str
) -> None:
    mailbox = open_mailbox(app)
    ask(visit)
    work(app)
    if end == "confirmed":
        token = mailbox.to(NEW)[0].token
        visit.fill("/confirm-email", link_token=token)
        assert visit.open("/account/profile").text.count(NEW) > 0
    elif end == "reset":
        visit.fill("/forgot-password", email="alice@example.com")
        work(app)
        token = mailbox.to("alice@example.com")[-1].token
        visit.fill("/reset-password", link_token=token, new_password="another horse, a staple")
        visit.sign_in(password="another horse, a staple")
    else:
        clock.shift(timedelta(hours=48, seconds=1))
        visit.sign_in()
    assert "on its way" not in visit.open(EMAIL).text


@pytest.mark.parametrize("address", ["", "x", "a@b@c"])
def test_a_fault_is_named_at_its_field(visit: Visit, alice: Caller, address: str) -> None:
    shown = ask(visit, address)
    assert (shown.status, bool(shown.fault("new_email"))) == (422, True)


def test_it_needs_a_recent_proof(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    fields = visit.open(EMAIL).form(EMAIL)
    clock.shift(timedelta(minutes=5))
    for shown in (visit.open(EMAIL), visit.send(EMAIL, {**fields, "new_email": NEW})):
        assert shown.location.startswith("/account/confirm?continue=")
        assert "ada" not in shown.location
    assert audit_trail(app, "user.email_change_requested") == []


def test_it_counts_with_the_calls_of_the_api(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), ratelimit_enabled=True)
    alice, visit = register_caller(app, "alice"), Visit(app)
    for _ in range(5):
        alice.post("/api/v1/users/me/email", json={"new_email": NEW})
    shown = ask(visit)
    assert (shown.status, shown.alert.startswith("There were too many attempts")) == (429, True)
