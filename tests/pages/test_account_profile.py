"""The names of an account."""

from collections.abc import Callable

import pytest
from flask import Flask

from tests.support.browsing import Visit
from tests.support.clients import Caller, register_caller
from tests.support.rows import audit_trail

PROFILE = "/account/profile"


def test_it_saves_names(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    page = visit.open(PROFILE)
    assert page.form(PROFILE)["username"] == "alice"
    shown = visit.fill(PROFILE, display_name="Ada <b>", username="Ada.L")
    assert "Your profile is saved." in shown.text
    fields = shown.form(PROFILE)
    assert (fields["display_name"], fields["username"]) == ("Ada <b>", "ada.l")
    assert "<b>" not in shown.html
    (event,) = audit_trail(app, "user.profile_changed")
    assert event["details"] == {"fields": ["display_name", "username"]}


def test_an_empty_field_removes_a_name_and_a_missing_one_leaves_it(
    visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    token = visit.open(PROFILE).form(PROFILE)["token"]
    visit.send(PROFILE, {"token": token, "display_name": "Ada"})
    assert visit.open(PROFILE).form(PROFILE)["username"] == "alice"
    visit.send(PROFILE, {"token": token, "username": ""})
    fields = visit.open(PROFILE).form(PROFILE)
    assert (fields["display_name"], fields["username"]) == ("Ada", "")


@pytest.mark.parametrize(
    ("username", "text"),
    [("bob", "Another user has this name. Choose another one."), ("x", None)],
    ids=["taken", "short"],
)
def test_a_fault_keeps_the_rest(
    app: Flask, visit: Visit, alice: Caller, username: str, text: str | None
) -> None:
    register_caller(app, "bob")
    visit.sign_in()
    shown = visit.fill(PROFILE, display_name="Ada", username=username)
    assert shown.status == 422
    assert shown.fault("username") == (text or shown.fault("username"))
    assert shown.form(PROFILE)["display_name"] == "Ada"


@pytest.mark.parametrize("field", ["surprise", "activity_seen_at", "email", "is_active"])
def test_an_unknown_field_is_refused(visit: Visit, alice: Caller, field: str) -> None:
    visit.sign_in()
    assert visit.fill(PROFILE, **{field: "x"}).status == 422


def test_it_counts_with_the_calls_of_the_api(make_app: Callable[..., Flask]) -> None:
    app = make_app(features=("pages",), ratelimit_enabled=True)
    alice, visit = register_caller(app, "alice"), Visit(app)
    visit.sign_in()
    for _ in range(30):
        alice.patch("/api/v1/users/me", json={"display_name": "Ada"})
    shown = visit.fill(PROFILE, display_name="Ada")
    assert (shown.status, shown.alert.startswith("There were too many attempts")) == (429, True)
