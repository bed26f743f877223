"""Signing in and out by the forms."""

from collections.abc import Callable
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from authserve.passwords.queue import HasherBusyError
from authserve.settings.model import EmailVerification, Registration
from tests.support.browsing import Visit
from tests.support.clients import PASSWORD, Caller, register
from tests.support.rows import audit_trail, change_user, count_sessions

WRONG = "The address, username or password is wrong."


@pytest.mark.parametrize("identifier", ["alice", "ALICE", " alice@example.com "])
def test_it_signs_in(app: Flask, visit: Visit, alice: Caller, identifier: str) -> None:
    shown = visit.sign_in(identifier)
    assert (shown.title, shown.status) == ("Your account – localhost", 200)
    assert "alice@example.com" in shown.text
    assert audit_trail(app, "session.started")[-1]["details"]["kind"] == "browser"


@pytest.mark.parametrize("name", ["alice", "nobody", "x" * 300])
def test_the_answer_is_the_same_for_known_and_unknown(
    visit: Visit, alice: Caller, name: str
) -> None:
    shown = visit.sign_in(name, "wrong password 12", remember="1")
    assert (shown.status, shown.alert) == (422, WRONG)
    assert shown.form()["identifier"] == name
    assert "wrong password 12" not in shown.html
    assert visit.cookie() is None
    assert "checked" in shown.html


def test_tab_leads_from_the_name_to_the_password(visit: Visit) -> None:
    html = visit.open("/sign-in").html
    places = [html.index(part) for part in ('id="identifier"', 'id="password"', "/forgot-password")]
    assert places == sorted(places)


def test_missing_input_is_named_at_its_field(visit: Visit) -> None:
    shown = visit.send("/sign-in", {"identifier": "", "password": ""})
    assert shown.status == 422
    assert shown.fault("identifier") == shown.fault("password") == "Fill this in."
    focused = [
        field.get("name") for field in shown.tree.iter("input") if "autofocus" in field.attrib
    ]
    assert focused == ["identifier"]


@pytest.mark.parametrize("field", ["surprise", "device_token", "device", "token", "is_remembered"])
def test_an_unknown_field_is_refused(visit: Visit, alice: Caller, field: str) -> None:
    fields = {"identifier": "alice", "password": PASSWORD, field: "1"}
    assert visit.send("/sign-in", fields).status == 422
    assert visit.cookie() is None


def test_input_is_shown_as_text(visit: Visit) -> None:
    name = '"><script>alert(1)</script>'
    shown = visit.sign_in(name, "wrong password 12")
    assert "<script>alert" not in shown.html
    assert shown.form()["identifier"] == name


def test_too_many_attempts_name_the_wait_and_the_way(visit: Visit) -> None:
    for _ in range(5):
        shown = visit.sign_in("eve", "wrong password 12")
    shown = visit.sign_in("eve", "wrong password 12")
    assert (shown.status, shown.headers["Retry-After"]) == (429, "30")
    assert "Wait 30 seconds, then try again, or reset your password." in shown.alert
    assert 'href="/forgot-password"' in shown.html


def test_a_rate_limit_is_explained(
    clock: time_machine.Traveller, make_app: Callable[..., Flask]
) -> None:
    visit = Visit(make_app(features=("pages",), ratelimit_enabled=True))
    for number in range(31):
        shown = visit.sign_in(f"user-{number}", "wrong password 12")
    assert (shown.status, shown.alert) == (
        429,
        "There were too many attempts. Wait 60 seconds, then try again.",
    )
    assert shown.headers["RateLimit-Remaining"] == "0"


def test_too_many_sign_ins_at_once_are_explained(
    visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object, **_values: object) -> None:
        raise HasherBusyError(retry_after_secs=3)

    monkeypatch.setattr("authserve.pages.sign_in.sign_in_browser", refuse)
    shown = visit.sign_in()
    assert (shown.status, shown.headers["Retry-After"]) == (503, "3")
    assert shown.alert == "Many people are signing in right now. Try again in 3 seconds."


def test_a_disabled_account_is_told_after_the_right_password(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(features=("pages",), brand_support_url="mailto:help@example.com")
    user = register(app.test_client(), "alice").get_json()
    change_user(app, UUID(user["id"]), is_active=False)
    visit = Visit(app)
    assert visit.sign_in(password="wrong password 12").alert == WRONG
    shown = visit.sign_in()
    assert shown.alert == "This account is switched off. Ask for help"
    assert 'href="mailto:help@example.com"' in shown.html


def test_an_unverified_address_offers_another_mail(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), email_verification=EmailVerification.REQUIRED)
    body = {"email": "alice@example.com", "password": PASSWORD}
    assert app.test_client().post("/api/v1/auth/register", json=body).status_code == 202
    visit = Visit(app)
    shown = visit.sign_in("alice@example.com")
    assert shown.alert.startswith("Your address is not verified yet.")
    shown = visit.fill("/verify-email/resend", email="alice@example.com")
    assert shown.title.startswith("Check your mail")


def test_a_session_below_its_need_opens_no_page(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    change_user(app, alice.id, mfa_enabled=True)
    assert visit.open("/account").status == 303
    assert visit.open("/sign-in").status == 200
    assert visit.open("/sign-out").status == 200


def test_each_sign_in_has_a_session_of_its_own(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    first = visit.cookie()
    visit.sign_in_from(visit.open("/sign-in?switch=1"))
    assert visit.cookie() != first
    assert count_sessions(app, kind="browser", revoked_at=None) == 1


def test_closed_registration_offers_no_account(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), registration=Registration.CLOSED)
    assert "/sign-up" not in Visit(app).open("/sign-in").html


def test_it_signs_out(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    shown = visit.fill("/sign-out")
    assert shown.title.startswith("You are signed out")
    assert (visit.cookie(), count_sessions(app, kind="browser", revoked_at=None)) == (None, 0)
    assert visit.open("/account").status == 303
    assert visit.open("/sign-out").location == "/signed-out"
    assert alice.get("/api/v1/users/me").status_code == 200


def test_the_account_has_the_button_too(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    fields = visit.open("/account").form("/sign-out")
    shown = visit.follow(visit.send("/sign-out", fields))
    assert shown.title.startswith("You are signed out")


@pytest.mark.parametrize("token", ["", "x", "00" * 32, "é"])
def test_signing_out_needs_the_token_of_the_session(
    app: Flask, visit: Visit, alice: Caller, token: str
) -> None:
    visit.sign_in()
    other = Visit(app)
    other.sign_in()
    for wrong in (token, other.open("/account").form("/sign-out")["token"]):
        assert visit.send("/sign-out", {"token": wrong}).status == 403
    assert visit.open("/account").status == 200


def test_a_get_signs_nobody_out(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    for path in ("/sign-out", "/signed-out"):
        visit.open(path)
    assert visit.open("/account").status == 200


def test_a_second_press_is_harmless(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    fields = visit.open("/sign-out").form()
    assert visit.send("/sign-out", fields).location == "/signed-out"
    assert visit.send("/sign-out", fields).location == "/signed-out"


def test_the_start_page_leads_people_to_their_account(visit: Visit, alice: Caller) -> None:
    assert visit.follow(visit.open("/")).title.startswith("Sign in")
    visit.sign_in()
    assert visit.follow(visit.open("/")).title.startswith("Your account")
    assert visit.open("/", headers={"Accept": "*/*"}).headers["Content-Type"] == "application/json"
