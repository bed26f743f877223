"""The authenticator app of an account, by the forms."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest
import time_machine
from flask import Flask

from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.settings.model import SETTINGS, EmailVerification, Mfa
from tests.support.browsing import Shown, Visit
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.crowd import all_at_once
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.mail import Mailbox, open_mailbox
from tests.support.passkeys import give_passkey, passkey_row
from tests.support.rows import (
    audit_trail,
    change_session,
    change_user,
    count_sessions,
    live_session_row,
)
from tests.support.totp import code_at, mailed_code

METHODS = "/account/sign-in-methods"
APP, REMOVE = f"{METHODS}/totp", f"{METHODS}/totp/remove"

PROOF = "/account/confirm?level=aal2"
"""Where a change leads a session of one factor, if the account has a second one."""


@pytest.fixture
def mailbox(app: Flask) -> Mailbox:
    return open_mailbox(app)


@pytest.fixture
def begun(app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox) -> Shown:
    """The page with the secret of a first app."""
    visit.sign_in()
    return visit.fill(APP)


def sign_in_with_app(app: Flask, visit: Visit, alice: Caller) -> None:
    """Sign in at a level of two factors, with an app and a recovery code."""
    visit.sign_in()
    give_totp(app, alice.id)
    give_recovery_codes(app, alice.id)
    change_session(app, visit.session_id, aal=Level.AAL2)


def test_a_first_app_needs_both_codes_and_raises_the_session(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox, begun: Shown
) -> None:
    secret, cookie = begun.form(APP)["secret"], visit.cookie()
    assert f"secret={secret}" in begun.html
    assert "<svg" in begun.html
    mailed = mailed_code(app, mailbox, alice)
    fields = {**begun.form(APP), "code": code_at(secret, now()), "email_code": mailed}
    done = visit.send(APP, fields)
    assert (done.status, done.title) == (200, "Save your recovery codes – localhost")
    assert "Older codes" not in done.text
    assert len([item for item in done.tree.iter("li") if item.find("code") is not None]) == 10
    row = live_session_row(app, visit.session_id)
    assert (row["aal"], row["amr"]) == (Level.AAL2, ["email", "otp", "pwd", "mfa"])
    assert visit.cookie() not in (cookie, None)
    # The sessions of the API and of other browsers end.
    assert count_sessions(app, revoked_at=None) == 1
    assert visit.open(METHODS).status == 200
    again = visit.send(APP, fields)
    assert (again.status, again.alert) == (422, "This set-up is no longer valid. Begin it again.")
    assert "secret" not in again.form(APP)


def test_opening_the_page_begins_nothing(app: Flask, visit: Visit, alice: Caller) -> None:
    mailbox = open_mailbox(app)
    visit.sign_in()
    assert visit.open(APP).form(APP).keys() == {"token"}
    assert mailbox.to("alice@example.com") == []
    assert audit_trail(app, "factor.added") == []


def test_the_wrong_code_is_named_and_the_secret_stays(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox, begun: Shown
) -> None:
    secret, mailed = begun.form(APP)["secret"], mailed_code(app, mailbox, alice)
    missing = visit.give(begun, code="", email_code="")
    assert missing.fault("code") == "Fill this in."
    missing = visit.give(missing, code=code_at(secret, now()))
    assert missing.fault("email_code") == "Fill this in."
    wrong = visit.give(missing, code=code_at(secret, now()), email_code="00000000")
    assert wrong.fault("email_code").startswith("That code is wrong or no longer valid.")
    other = f"{(int(code_at(secret, now())) + 500_000) % 1_000_000:06}"
    wrong = visit.give(wrong, code=other, email_code=mailed)
    assert wrong.fault("code").startswith("That code is not right. Codes change")
    assert wrong.form(APP)["secret"] == secret
    assert mailed not in wrong.html
    done = visit.give(wrong, code=code_at(secret, now()), email_code=f"{mailed[:4]} {mailed[4:]}")
    assert done.title.startswith("Save your recovery codes")


def test_of_two_confirmations_at_once_one_counts(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), email_verification=EmailVerification.OFF)
    register_caller(app, "alice")
    visit = Visit(app)
    visit.sign_in()
    page, cookie = visit.fill(APP), visit.cookie() or ""
    fields = {**page.form(APP), "code": code_at(page.form(APP)["secret"], now())}

    def confirm() -> Shown:
        tab = Visit(app)
        tab.client.set_cookie("authserve", cookie)
        return tab.send(APP, fields)

    shown = all_at_once([confirm] * 4)
    (_winner,) = [each for each in shown if each.status == 200]
    for other in (each for each in shown if each.status != 200):
        # A late one has read a session of one factor, but an account of two.
        assert other.status == 422 or other.location.startswith(PROOF)
    assert len(audit_trail(app, "factor.added")) == 1


def test_an_app_is_replaced_only_by_a_confirmed_one(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    sign_in_with_app(app, visit, alice)
    page = visit.open(APP)
    assert "Your current app works until the new one is set up." in page.text
    begun = visit.give(page)
    # A later change needs two factors, and so no mailed code.
    assert "email_code" not in begun.form(APP)
    assert audit_trail(app, "factor.removed") == []
    done = visit.give(begun, code=code_at(begun.form(APP)["secret"], now()))
    assert "Your authenticator app is set up." in done.text
    assert len(audit_trail(app, "factor.removed")) == 1


def test_a_session_without_a_password_gives_it_first(
    app: Flask, visit: Visit, alice: Caller, mailbox: Mailbox
) -> None:
    """A code from an app beside a mailed code would be one factor."""
    visit.sign_in()
    change_session(app, visit.session_id, amr=["email"])
    led = visit.send(APP, visit.open(APP).form(APP))
    assert led.location.startswith("/account/confirm?")
    confirm = visit.open(led.location)
    back = visit.give(confirm, password=PASSWORD)
    assert "secret" in visit.give(back).form(APP)


@pytest.mark.parametrize("has_passkey", [True, False])
def test_the_page_says_what_a_removal_leads_to(
    app: Flask, visit: Visit, alice: Caller, has_passkey: bool
) -> None:
    sign_in_with_app(app, visit, alice)
    if has_passkey:
        give_passkey(app, alice.id)
    page = visit.open(REMOVE)
    assert ("your second factor goes off" in page.text) is not has_passkey
    done = visit.give(page)
    assert "The authenticator app is removed." in done.text
    assert len(audit_trail(app, "mfa.disabled")) == (0 if has_passkey else 1)
    assert count_sessions(app, revoked_at=None) == 1
    again = visit.send(REMOVE, page.form(REMOVE))
    assert again.alert == "This account has no authenticator app any more."


def test_without_mfa_only_the_codes_go(app: Flask, visit: Visit, alice: Caller) -> None:
    sign_in_with_app(app, visit, alice)
    change_user(app, alice.id, mfa_enabled=False)
    assert "your recovery codes stop working, too" in visit.open(REMOVE).text


def test_a_required_factor_is_not_removed(app: Flask, visit: Visit, alice: Caller) -> None:
    sign_in_with_app(app, visit, alice)
    SETTINGS.fill(app, replace(SETTINGS.of(app), mfa=Mfa.REQUIRED))
    page = visit.open(REMOVE)
    assert "this is your last one" in page.text
    assert [each.text for each in page.tree.iterfind(".//main//button")] == []
    refused = visit.send(REMOVE, page.form(REMOVE))
    assert (refused.status, refused.alert) == (
        422,
        "This service requires a second factor. Add another one first.",
    )
    assert audit_trail(app, "factor.removed") == []


def test_of_the_two_last_factors_at_once_one_stays_where_one_is_required(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    sign_in_with_app(app, visit, alice)
    passkey = passkey_row(app, give_passkey(app, alice.id))["id"]
    SETTINGS.fill(app, replace(SETTINGS.of(app), mfa=Mfa.REQUIRED))
    fields, cookie = visit.open(REMOVE).form(REMOVE), visit.cookie() or ""

    def remove(path: str) -> Shown:
        tab = Visit(app)
        tab.client.set_cookie("authserve", cookie)
        return tab.send(path, fields)

    calls = [partial(remove, path) for path in (REMOVE, f"{METHODS}/passkeys/{passkey}/remove")]
    assert sorted(shown.status for shown in all_at_once(calls)) == [303, 422]
    assert len(audit_trail(app, "factor.removed")) == 1


def test_where_second_factors_are_off_none_is_added(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), mfa=Mfa.OFF)
    register_caller(app, "alice")
    visit = Visit(app)
    visit.sign_in()
    assert f"{METHODS}/" not in visit.open(METHODS).html
    assert visit.fill(APP).alert == "New second factors are switched off here."


def test_set_ups_are_limited_as_those_of_the_api(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), ratelimit_enabled=True)
    alice, visit = register_caller(app, "alice"), Visit(app)
    visit.sign_in()
    for _ in range(10):
        assert alice.post("/api/v1/users/me/mfa/totp").status_code == 201
    shown = visit.fill(APP)
    assert (shown.status, "Retry-After" in shown.headers) == (429, True)
    assert shown.alert.startswith("There were too many attempts.")


@pytest.mark.parametrize("path", [APP, REMOVE])
def test_a_change_needs_a_recent_proof_of_two_factors(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller, path: str
) -> None:
    sign_in_with_app(app, visit, alice)
    fields = visit.open(path).form(path)
    clock.shift(timedelta(minutes=6))
    for shown in (visit.open(path), visit.send(path, fields)):
        assert shown.location.startswith(PROOF)
    # One factor is not enough once the account has two, even if it does not need them.
    visit.client.delete_cookie("authserve")
    change_user(app, alice.id, mfa_enabled=False)
    visit.sign_in()
    fields["token"] = visit.open("/account/sessions").form("/account/sessions/end-others")["token"]
    for shown in (visit.open(path), visit.send(path, fields)):
        assert shown.location.startswith(PROOF)
    assert audit_trail(app, "factor.removed", "factor.added") == []
