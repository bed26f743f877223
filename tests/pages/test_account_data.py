"""A copy of the account's data, and its deletion."""

import json
from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller, register_caller
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases
from tests.support.rows import audit_trail

DATA, EXPORT, DELETE = "/account/data", "/account/data/export", "/account/data/delete"
OWN = "alice@example.com"


def test_it_sends_a_copy_of_the_data(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    fields = visit.open(DATA).form(EXPORT)
    shown = visit.send(EXPORT, fields)
    assert (shown.status, shown.headers["Content-Type"]) == (200, "application/json")
    assert shown.headers["Content-Disposition"] == 'attachment; filename="account.json"'
    assert shown.headers["Cache-Control"] == "no-store"
    assert json.loads(shown.html)["user"]["email"] == OWN


@pytest.mark.parametrize("path", [EXPORT, DELETE])
def test_it_needs_a_recent_proof(
    clock: time_machine.Traveller, app: Flask, visit: Visit, alice: Caller, path: str
) -> None:
    visit.sign_in()
    fields = visit.open(DATA if path == EXPORT else DELETE).form(path)
    clock.shift(timedelta(minutes=5))
    shown = visit.send(path, {**fields, "confirm": OWN} if path == DELETE else fields)
    assert shown.location.startswith("/account/confirm?continue=")
    assert OWN not in shown.location
    assert alice.get("/api/v1/users/me").status_code == 200


def test_copies_count_with_the_calls_of_the_api(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), ratelimit_enabled=True)
    alice, visit = register_caller(app, "alice"), Visit(app)
    for _ in range(10):
        alice.get("/api/v1/users/me/export")
    visit.sign_in()
    shown = visit.send(EXPORT, visit.open(DATA).form(EXPORT))
    assert (shown.status, shown.alert.startswith("There were too many attempts")) == (429, True)


@pytest.mark.parametrize("typed", [OWN, " Alice@Example.COM "])
def test_it_deletes_the_account_and_signs_out(
    app: Flask, visit: Visit, alice: Caller, typed: str
) -> None:
    visit.sign_in()
    shown = visit.fill(DELETE, confirm=typed)
    assert shown.title.startswith("Your account is deleted")
    assert visit.cookie() is None
    assert visit.sign_in().status == 422
    assert len(audit_trail(app, "user.deleted")) == 1


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("", "Fill this in."),
        ("alice", "That is not an email address."),
        ("bob@example.com", "This is not the address of your account."),
    ],
)
def test_another_address_deletes_nothing(
    visit: Visit, alice: Caller, typed: str, text: str
) -> None:
    visit.sign_in()
    shown = visit.fill(DELETE, confirm=typed)
    assert (shown.status, shown.fault("confirm")) == (422, text)
    assert visit.open("/account").status == 200


def test_the_last_administrator_stays(visit: Visit, admin: Caller) -> None:
    visit.sign_in(admin.user["username"])
    shown = visit.fill(DELETE, confirm=admin.user["email"])
    assert (shown.status, shown.alert.startswith("You are the only administrator.")) == (422, True)
    assert visit.open("/account").status == 200


@both_databases
def test_of_two_presses_one_deletes(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    fields = {**visit.open(DELETE).form(DELETE), "confirm": OWN}
    cookie = visit.cookie()
    tabs = [Visit(app), Visit(app)]
    for tab in tabs:
        tab.client.set_cookie("authserve", cookie or "")

    def press(tab: Visit) -> Shown:
        return tab.send(DELETE, fields)

    answers = all_at_once([lambda tab=tab: press(tab) for tab in tabs])
    assert [shown.status for shown in answers] == [303, 303]
    assert sum(shown.location.startswith("/signed-out") for shown in answers) == 1
    assert sum(shown.location.startswith("/sign-in") for shown in answers) == 1
    assert len(audit_trail(app, "user.deleted")) == 1
