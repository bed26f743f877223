"""Signing in with a passkey alone, by the form that the script fills in."""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from flask import Flask

from authserve.settings.model import EmailVerification
from tests.support.authenticator import Authenticator
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller
from tests.support.passkeys import ORIGIN, change_passkey, give_passkey
from tests.support.people import make_user
from tests.support.rows import audit_trail, change_user

PATH = "/sign-in/passkey"
UNUSED = "The passkey was not used. Try again, or choose another way."


def form_of(shown: Shown) -> dict[str, str]:
    """Return the attributes of the form that a passkey fills in."""
    (form,) = [each for each in shown.tree.iter("form") if each.get("action") == PATH]
    return dict(form.attrib)


def answer(key: Authenticator, shown: Shown) -> str:
    """Return a passkey's answer to the options of a page."""
    options = json.loads(form_of(shown)["data-options"])
    key.rp_id = options["rpId"]
    return json.dumps(key.get(options))


def test_a_passkey_signs_in(app: Flask, visit: Visit, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    start = visit.open("/sign-in?continue=")
    sent = {"credential": answer(key, start), "remember": "1"}
    done = visit.follow(visit.send(PATH, sent))
    assert done.title.startswith("Your account")
    details = audit_trail(app, "session.started")[-1]["details"]
    assert (details["kind"], details["acr"]) == ("browser", "phr")
    again = visit.send(PATH, sent)
    assert (again.status, again.alert) == (422, UNUSED)


def test_no_cache_keeps_options(app: Flask, visit: Visit) -> None:
    shown = visit.open("/sign-in/passkey-options")
    assert (shown.status, shown.headers["Cache-Control"]) == (200, "no-store")


def test_new_options_come_before_the_old_ones_expire(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller
) -> None:
    key = give_passkey(app, alice.id)
    start = visit.open("/sign-in")
    form = form_of(start)
    clock.shift(timedelta(seconds=int(form["data-expires-in"]) + 1))
    late = visit.send(PATH, {"credential": answer(key, start)})
    assert late.alert == UNUSED
    renewed = visit.open(form["data-renewed-at"])
    assert renewed.headers["Content-Type"] == "application/json"
    assert renewed.headers["Cache-Control"] == "no-store"
    options = json.loads(renewed.html)["public_key"]
    done = visit.send(PATH, {"credential": json.dumps(key.get(options))})
    assert done.status == 303


def test_an_unknown_passkey_is_told_and_forgotten(visit: Visit) -> None:
    start, key = visit.open("/sign-in"), Authenticator(ORIGIN)
    key.create({"rp": {"id": "localhost"}, "challenge": "AAAA", "user": {"id": "AAAA"}})
    shown = visit.send(PATH, {"credential": answer(key, start)})
    assert shown.status == 422
    assert shown.alert == (
        "Your device knows no passkey for localhost. Sign in another way, then add one."
    )
    assert form_of(shown)["data-unknown"] == json.loads(answer(key, start))["id"]


@pytest.mark.parametrize("credential", ["", "x", "{}", "[]", '{"id": 1}', "null", "9" * 40_000])
def test_what_is_no_answer_of_a_passkey_is_refused(visit: Visit, credential: str) -> None:
    shown = visit.send(PATH, {"credential": credential})
    assert (shown.status, shown.alert) == (422, UNUSED)
    assert "data-unknown" not in form_of(shown)


def test_a_flagged_passkey_is_refused(app: Flask, visit: Visit, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    change_passkey(app, key, sign_count=10)
    assert visit.send(PATH, {"credential": answer(key, visit.open("/sign-in"))}).alert == UNUSED


def test_a_disabled_account_is_told(app: Flask, visit: Visit, alice: Caller) -> None:
    key = give_passkey(app, alice.id)
    change_user(app, alice.id, is_active=False)
    shown = visit.send(PATH, {"credential": answer(key, visit.open("/sign-in"))})
    assert shown.alert == "This account is switched off."


def test_an_unverified_address_offers_another_mail(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), email_verification=EmailVerification.REQUIRED)
    with app.app_context():
        key = give_passkey(app, make_user("alice").id)
    visit = Visit(app)
    shown = visit.send(PATH, {"credential": answer(key, visit.open("/sign-in"))})
    assert shown.alert.startswith("Your address is not verified yet.")


def test_without_an_rp_id_there_are_no_passkeys(make_app: Callable[..., Flask]) -> None:
    visit = Visit(make_app(features=("pages",), passkey_rp_id=""))
    assert "passkey" not in visit.open("/sign-in").html
    assert visit.send(PATH, {"credential": "{}"}).status == 404
    assert visit.open(f"{PATH}-options").status == 404


def test_a_reload_of_a_refusal_shows_the_form(visit: Visit) -> None:
    assert visit.follow(visit.open(PATH)).title.startswith("Sign in")


def test_options_are_limited_as_those_of_the_api(make_app: Callable[..., Flask]) -> None:
    visit = Visit(make_app(features=("pages",), ratelimit_enabled=True))
    assert visit.open(f"{PATH}-options").headers["RateLimit-Limit"] == "60"


def test_more_than_two_other_ways_are_folded(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    def ways(*_args: Any) -> list[str]:
        return ["passkey", "email-code", "email-code"]

    monkeypatch.setattr("authserve.pages.sign_in.other_ways", ways)
    (folded,) = visit.open("/sign-in").tree.iter("details")
    assert len(list(folded.iter("a"))) == 1
