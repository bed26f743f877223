"""The ways to sign in to an account, its second factor's switch, and its recovery codes."""

from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.core.levels import Level
from authserve.settings.model import SETTINGS, Mfa
from authserve.users.errors import ChangedMeanwhileError
from tests.conftest import Log
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller
from tests.support.crowd import all_at_once
from tests.support.factors import give_recovery_codes, give_totp
from tests.support.passkeys import give_passkey
from tests.support.rows import audit_trail, change_session, change_user, count_sessions

METHODS = "/account/sign-in-methods"
CODES, SWITCH = f"{METHODS}/recovery-codes", f"{METHODS}/second-factor"


@pytest.fixture
def protected(app: Flask, visit: Visit, alice: Caller) -> Visit:
    """A browser in which Alice has signed in with two factors."""
    visit.sign_in()
    give_totp(app, alice.id)
    give_recovery_codes(app, alice.id, count=3)
    change_session(app, visit.session_id, aal=Level.AAL2)
    return visit


def codes_in(shown: Shown) -> list[str]:
    return [item.findtext("code") or "" for item in shown.tree.iterfind(".//main//li[code]")]


def test_an_account_with_a_password_is_shown_what_it_can_add(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    shown = visit.open(METHODS)
    for link in ("/account/password", f"{METHODS}/totp", f"{METHODS}/passkeys/add"):
        assert f'href="{link}"' in shown.html
    assert "Add an app or a passkey first." in shown.text
    assert SWITCH not in shown.html
    assert CODES not in shown.html


def test_methods_are_shown_with_what_is_left(app: Flask, protected: Visit, alice: Caller) -> None:
    give_passkey(app, alice.id, name="<b>Phone</b>")
    shown = protected.open(METHODS)
    assert "3 of 10 left." in shown.text
    assert "<b>Phone</b> Passkey Chrome on Mac · on one device Added" in shown.text
    assert "Set up 20" in shown.text
    change_user(app, alice.id, password_hash=None)
    assert 'href="/forgot-password"' in protected.open(METHODS).html


def test_the_second_factor_goes_off_and_on(app: Flask, protected: Visit) -> None:
    page = protected.open(METHODS)
    assert page.form(SWITCH)["enabled"] == "false"
    shown = protected.follow(protected.send(SWITCH, page.form(SWITCH)))
    assert "The second factor is off." in shown.text
    assert count_sessions(app, revoked_at=None) == 1
    assert shown.form(SWITCH)["enabled"] == "true"
    shown = protected.follow(protected.send(SWITCH, shown.form(SWITCH)))
    assert "The second factor is on." in shown.text
    assert len(audit_trail(app, "mfa.enabled", "mfa.disabled")) == 2


def test_switched_on_without_codes_it_shows_new_ones(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    give_totp(app, alice.id)
    change_user(app, alice.id, mfa_enabled=False)
    change_session(app, visit.session_id, aal=Level.AAL2)
    fields = visit.open(METHODS).form(SWITCH)
    assert len(codes_in(visit.send(SWITCH, fields))) == 10


def test_a_required_one_stays_on(app: Flask, protected: Visit) -> None:
    fields = protected.open(METHODS).form(SWITCH)
    SETTINGS.fill(app, replace(SETTINGS.of(app), mfa=Mfa.REQUIRED))
    refused = protected.send(SWITCH, fields)
    stays = "This service requires a second factor, so it stays on."
    assert (refused.status, refused.alert) == (422, stays)
    assert refused.text.count(stays) == 2
    assert f'action="{SWITCH}"' not in refused.html


def test_without_a_factor_it_stays_off(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    token = visit.open(f"{METHODS}/totp").form()["token"]
    refused = visit.send(SWITCH, {"token": token, "enabled": "true"})
    assert refused.alert == "Add an authenticator app or a passkey first."
    for value in ("", "yes", "1"):
        assert visit.send(SWITCH, {"token": token, "enabled": value}).status == 422


def test_new_codes_are_shown_once(app: Flask, protected: Visit) -> None:
    page = protected.open(CODES)
    assert page.form(CODES)["replaces"] != ""
    shown = protected.send(CODES, page.form(CODES))
    codes = codes_in(shown)
    assert (shown.status, len(set(codes))) == (200, 10)
    assert "Older codes have stopped working." in shown.text
    assert codes[0] not in protected.open(METHODS).html
    assert "10 of 10 left." in protected.open(METHODS).text


def test_a_reload_renews_nothing(app: Flask, protected: Visit, log: Log) -> None:
    fields, cookie = protected.open(CODES).form(CODES), protected.cookie() or ""

    def renew() -> Shown:
        tab = Visit(app)
        tab.client.set_cookie("authserve", cookie)
        return tab.send(CODES, fields)

    shown = all_at_once([renew] * 4)
    assert sorted(each.status for each in shown) == [200, 409, 409, 409]
    log()
    again = protected.send(CODES, fields)
    assert [line["code"] for line in log()] == [ChangedMeanwhileError.code]
    assert (again.status, again.title) == (409, "The codes were made already – localhost")
    assert codes_in(again) == []
    assert len(audit_trail(app, "recovery_codes.renewed")) == 1


def test_codes_without_a_factor_are_refused(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    refused = visit.fill(CODES)
    assert (refused.status, refused.alert) == (
        422,
        "Recovery codes stand in for a second factor. Add an app or a passkey first.",
    )


@pytest.mark.parametrize("replaces", ["x", "2026-11-27T09:57:00", "2026-11-27T09:57:00Z"])
def test_codes_are_renewed_for_the_set_that_was_shown(
    app: Flask, protected: Visit, replaces: str
) -> None:
    fields = {**protected.open(CODES).form(CODES), "replaces": replaces}
    assert protected.send(CODES, fields).status == (409 if replaces.endswith("Z") else 422)
    assert audit_trail(app, "recovery_codes.renewed") == []


def test_stale_changes_lead_to_a_proof(
    clock: time_machine.Traveller, app: Flask, protected: Visit
) -> None:
    switch, renew = protected.open(METHODS).form(SWITCH), protected.open(CODES).form(CODES)
    clock.shift(timedelta(minutes=6))
    for path, fields in ((SWITCH, switch), (CODES, renew)):
        assert protected.send(path, fields).location.startswith("/account/confirm?level=aal2")
    assert protected.open(CODES).location.startswith("/account/confirm?level=aal2")
    assert protected.open(METHODS).status == 200
    assert audit_trail(app, "mfa.disabled", "recovery_codes.renewed") == []
