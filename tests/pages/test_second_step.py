"""The second step of a sign-in, by the forms."""

import json
from collections.abc import Callable
from datetime import timedelta
from functools import partial

import pytest
import time_machine
from flask import Flask

from authserve.core.clock import now
from authserve.settings.urls import parse_return_urls
from tests.conftest import Log
from tests.support.browsing import Shown, Visit
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.crowd import all_at_once
from tests.support.factors import break_totp, give_recovery_codes, give_totp
from tests.support.marks import both_databases
from tests.support.passkeys import change_passkey, give_passkey
from tests.support.rows import audit_trail, change_user, count_sessions
from tests.support.second_steps import wrong_code
from tests.support.totp import STEP, code_at

GONE = "This sign-in is over. Start again."


@pytest.fixture
def secret(app: Flask, alice: Caller) -> bytes:
    """The secret of Alice's authenticator app."""
    return give_totp(app, alice.id)


def flows_of(visit: Visit) -> list[str]:
    """Return the names of the cookies of sign-ins in progress."""
    return [name for name in visit.cookie_names() if "authserve-flow-" in name]


def links_of(shown: Shown) -> list[str]:
    """Return the targets of a page's links."""
    return [link.get("href", "") for link in shown.tree.iter("a")]


def test_the_password_leads_to_the_code_and_the_code_to_the_account(
    app: Flask, visit: Visit, alice: Caller, secret: bytes
) -> None:
    shown = visit.sign_in(remember="1")
    assert shown.title.startswith("Enter your code")
    assert "alice@example.com" in shown.text
    assert (visit.cookie(), len(flows_of(visit))) == (None, 1)
    code = code_at(secret, now())
    done = visit.give(shown, code=f"{code[:3]} {code[3:]}")
    assert done.title.startswith("Your account")
    assert flows_of(visit) == []
    started = audit_trail(app, "session.started")[-1]["details"]
    assert (started["kind"], started["acr"]) == ("browser", "aal2")


def test_a_wrong_code_tells_the_tries_that_are_left(
    visit: Visit, alice: Caller, secret: bytes, log: Log
) -> None:
    log()
    shown = visit.sign_in()
    assert "mfa_required" in [line.get("code") for line in log()]
    wrong = "That code is not right. Codes change every 30 seconds: wait for the next one."
    for left in ("4 tries are left.", "3 tries are left.", "2 tries are left.", "1 try is left."):
        shown = visit.give(shown, code=wrong_code(secret))
        assert (shown.status, shown.fault("code")) == (422, f"{wrong} {left}")
        assert shown.form()["code"] == ""
    log()
    ended = visit.give(shown, code=wrong_code(secret))
    assert "mfa_token_invalid" in [line.get("code") for line in log()]
    assert (ended.title, ended.alert) == ("Error: Sign in – localhost", GONE)
    assert visit.give(shown, code=code_at(secret, now())).alert == GONE
    assert visit.cookie() is None


def test_a_code_of_another_form_is_not_counted(visit: Visit, alice: Caller, secret: bytes) -> None:
    shown = visit.sign_in()
    for code in ("12345", "1234567", "12345x", "１２３４５６", ""):
        shown = visit.give(shown, code=code)
        assert shown.status == 422
        assert shown.fault("code") in ("Type the digits of the code, and nothing else.", FILL_IN)
    assert "4 tries are left." in visit.give(shown, code=wrong_code(secret)).fault("code")


FILL_IN = "Fill this in."


def test_a_used_code_is_told(
    clock: time_machine.Traveller, visit: Visit, alice: Caller, secret: bytes
) -> None:
    code = code_at(secret, now())
    visit.give(visit.sign_in(), code=code)
    shown = visit.give(visit.sign_in_from(visit.open("/sign-in?switch=1")), code=code)
    assert shown.fault("code") == "That code was used already. Wait for the next one."
    clock.shift(STEP)
    assert visit.give(shown, code=code_at(secret, now())).title.startswith("Your account")


def test_each_method_has_a_page_and_links_to_the_others(
    app: Flask, visit: Visit, alice: Caller, secret: bytes
) -> None:
    (code,) = give_recovery_codes(app, alice.id)
    shown = visit.sign_in()
    (other,) = [path for path in links_of(shown) if "/recovery-code" in path]
    shown = visit.open(other)
    assert shown.title.startswith("Enter a recovery code")
    assert "/second-step/totp" in shown.html
    wrong = visit.give(shown, recovery_code="0000-0000")
    assert wrong.fault("recovery_code") == (
        "That recovery code is not right, or it was used already. 4 tries are left."
    )
    done = visit.give(wrong, recovery_code=code.lower())
    assert done.title.startswith("Your account")
    assert audit_trail(app, "recovery_codes.used")


def test_too_many_wrong_codes_are_told_with_the_wait(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller, secret: bytes
) -> None:
    for _ in range(2):
        shown = visit.sign_in()
        for _ in range(4):
            shown = visit.give(shown, code=wrong_code(secret))
    assert (shown.status, shown.headers["Retry-After"]) == (429, "30")
    assert shown.alert == "There were too many attempts. Wait 30 seconds, then try again."


def test_each_try_is_counted_by_the_limit_of_the_api(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), ratelimit_enabled=True)
    secret = give_totp(app, register_caller(app, "alice").id)
    visit = Visit(app)
    shown = visit.give(visit.sign_in(), code=wrong_code(secret))
    limits = [shown.headers[f"RateLimit-{name}"] for name in ("Limit", "Remaining")]
    assert limits == ["20", "19"]


def test_a_late_step_starts_again(
    clock: time_machine.Traveller, visit: Visit, alice: Caller, secret: bytes
) -> None:
    shown = visit.sign_in()
    clock.shift(timedelta(minutes=6))
    ended = visit.give(shown, code=code_at(secret, now()))
    assert ended.alert == "It took too long. Start again."
    assert visit.give(ended, identifier="alice", password=PASSWORD).title.startswith("Enter your")


def test_a_deactivated_account_does_not_go_on(
    app: Flask, visit: Visit, alice: Caller, secret: bytes
) -> None:
    shown = visit.sign_in()
    change_user(app, alice.id, is_active=False)
    assert visit.give(shown, code=code_at(secret, now())).alert == "This account is switched off."


def test_an_unreadable_secret_is_told(
    app: Flask, visit: Visit, alice: Caller, secret: bytes
) -> None:
    break_totp(app)
    shown = visit.give(visit.sign_in(), code="123456")
    assert shown.status == 503
    assert shown.alert.startswith("Codes cannot be checked right now.")


def test_a_person_without_a_factor_reads_how_to_get_back_in(
    visit: Visit, alice: Caller, secret: bytes
) -> None:
    shown = visit.sign_in()
    (link,) = [path for path in links_of(shown) if "/help" in path]
    shown = visit.open(link)
    assert shown.title.startswith("How to get back in")
    (back,) = [path for path in links_of(shown) if "/second-step" in path]
    assert visit.open(back).title.startswith("Enter your code")


def test_the_oldest_of_five_sign_ins_starts_again(
    clock: time_machine.Traveller, visit: Visit, alice: Caller, secret: bytes
) -> None:
    tabs = []
    for _ in range(5):
        tabs.append(visit.sign_in())
        clock.shift(timedelta(seconds=1))
    assert len(flows_of(visit)) == 4
    code = code_at(secret, now())
    assert visit.give(tabs[0], code=code).alert == GONE
    assert visit.give(tabs[1], code=code).title.startswith("Your account")


def test_a_second_press_leads_on_and_starts_no_second_session(
    app: Flask, visit: Visit, alice: Caller, secret: bytes
) -> None:
    shown = visit.sign_in()
    fields = {**shown.form(), "code": code_at(secret, now())}
    for _ in range(2):
        done = visit.follow(visit.send("/sign-in/second-step/totp", fields))
        assert done.title.startswith("Your account")
    assert count_sessions(app, kind="browser") == 1


def test_a_flow_belongs_to_its_browser(
    app: Flask, visit: Visit, alice: Caller, secret: bytes
) -> None:
    shown = visit.sign_in()
    thief = Visit(app)
    fields = {**shown.form(), "code": code_at(secret, now())}
    assert thief.follow(thief.send("/sign-in/second-step/totp", fields)).alert == GONE


def test_the_url_names_the_flow_and_holds_no_token(
    visit: Visit, alice: Caller, secret: bytes
) -> None:
    answer = visit.send("/sign-in", {"identifier": "alice", "password": PASSWORD})
    (name,) = flows_of(visit)
    assert answer.location == f"/sign-in/second-step?pending={name[-8:]}"
    assert visit.cookie(name) not in answer.html


def test_the_target_stays_over_the_steps(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), return_urls=parse_return_urls("https://app.example"))
    secret = give_totp(app, register_caller(app, "alice").id)
    visit = Visit(app)
    start = visit.open("/sign-in?return_to=https://app.example/x")
    done = visit.give(visit.sign_in_from(start), code=code_at(secret, now()))
    assert done.title.startswith("Continuing")
    assert "https://app.example/x" in done.html


def test_a_page_without_a_flow_starts_again(visit: Visit) -> None:
    for query in ("", "?pending=abcdefgh", "?pending=%3Cb%3E"):
        shown = visit.open(f"/sign-in/second-step{query}")
        assert (shown.status, "Set-Cookie" in shown.headers) == (303, False)
        assert visit.follow(shown).alert == GONE
    assert visit.follow(visit.send("/sign-in/second-step/totp", {"code": "123456"})).alert == GONE


def test_a_passkey_completes_it(app: Flask, visit: Visit, alice: Caller, secret: bytes) -> None:
    key = give_passkey(app, alice.id)
    shown = visit.sign_in()
    assert shown.title.startswith("Use your passkey")
    refused = visit.give(shown, credential="[]")
    assert refused.alert == "The passkey was not used. Try again, or choose another way."
    done = visit.give(refused, credential=json.dumps(key.get(refused.passkey_options)))
    assert done.title.startswith("Your account")
    assert audit_trail(app, "session.started")[-1]["details"]["acr"] == "phr"


def test_a_passkey_of_another_account_does_not(
    app: Flask, visit: Visit, alice: Caller, bob: Caller, secret: bytes
) -> None:
    key = give_passkey(app, alice.id)
    other = give_passkey(app, bob.id)
    shown = visit.sign_in()
    refused = visit.give(shown, credential=json.dumps(other.get(shown.passkey_options)))
    assert refused.alert == "The passkey was not used. Try again, or choose another way."
    assert refused.passkey_options["challenge"] != shown.passkey_options["challenge"]
    assert (
        visit.give(refused, credential=json.dumps(key.get(refused.passkey_options))).status == 200
    )


def test_without_any_usable_factor_the_page_tells_the_way_back(
    app: Flask, visit: Visit, alice: Caller
) -> None:
    change_passkey(app, give_passkey(app, alice.id), flagged_at=now())
    change_user(app, alice.id, mfa_enabled=True)
    assert visit.sign_in().title.startswith("How to get back in")


@both_databases
def test_two_second_steps_of_one_sign_in_start_one_session(
    app: Flask, visit: Visit, alice: Caller, secret: bytes
) -> None:
    fields = {**visit.sign_in().form(), "code": code_at(secret, now())}
    (name,) = flows_of(visit)
    tabs = [Visit(app) for _ in range(4)]
    for tab in tabs:
        tab.client.set_cookie(name, visit.cookie(name) or "")
    sends = [partial(tab.send, "/sign-in/second-step/totp", fields) for tab in tabs]
    answers = all_at_once(sends)
    assert {answer.status for answer in answers} <= {303, 422}
    assert [answer.location for answer in answers if answer.status == 303].count("/account") == 1
    assert count_sessions(app, kind="browser") == 1
