"""Where a person goes after a page, and where not."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.settings.model import SETTINGS
from authserve.settings.urls import parse_return_urls
from authserve.web.continuation import (
    MAX_TOKEN_LENGTH,
    Continuation,
    TargetKind,
    read_continuation,
    write_continuation,
)
from tests.conftest import Log
from tests.support.browsing import Visit
from tests.support.clients import PASSWORD, Caller

INSIDE = "https://app.example.com/inside"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    return make_app(features=("pages",), return_urls=parse_return_urls(INSIDE))


def write(app: Flask, kind: TargetKind, target: str) -> str:
    """Sign a target, allowed or not."""
    with app.test_request_context():
        token = write_continuation(Continuation(kind, target))
    assert token is not None
    return token


def read(app: Flask, token: str) -> Continuation | None:
    """Read a token."""
    with app.test_request_context():
        return read_continuation(token)


def test_a_person_returns_to_the_app(visit: Visit, alice: Caller) -> None:
    page = visit.open("/sign-in?return_to=https://app.example.com/inside/page%3Fx=1")
    assert "to continue to app.example.com" in page.text
    between = visit.sign_in_from(page)
    refresh = [e.get("content") for e in between.tree.iter("meta") if e.get("http-equiv")]
    assert refresh == [f"0; url={INSIDE}/page?x=1"]
    assert f'href="{INSIDE}/page?x=1"' in between.html
    assert between.headers["Referrer-Policy"] == "no-referrer"


def test_it_survives_every_link_of_the_pages(visit: Visit) -> None:
    page = visit.open(f"/sign-in?return_to={INSIDE}")
    token = page.form()["continue"]
    links = [a.get("href", "") for a in page.tree.iter("a")]
    for path in ("/sign-up", "/forgot-password"):
        (link,) = [link for link in links if link.startswith(path)]
        assert visit.open(link).form()["continue"] == token


def test_other_pages_take_no_plain_address(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    for path in ("/oauth/continue", "/signed-out", "/forgot-password", "/verify-email/resend"):
        shown = visit.follow(visit.open(f"{path}?return_to={INSIDE}"))
        assert INSIDE not in shown.html
        assert "continue" not in shown.html


def test_a_person_who_is_signed_out_signs_in_before(app: Flask, visit: Visit) -> None:
    token = write(app, TargetKind.RETURN, INSIDE)
    assert visit.open(f"/oauth/continue?continue={token}").location == f"/sign-in?continue={token}"


def test_a_person_who_signs_out_is_offered_the_way_back(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    page = visit.open(f"/sign-out?return_to={INSIDE}")
    shown = visit.follow(visit.send("/sign-out", page.form()))
    assert f'href="{INSIDE}"' in shown.html


def test_a_former_secret_is_good_for_open_forms(
    make_app: Callable[..., Flask], app: Flask, visit: Visit, alice: Caller
) -> None:
    visit.sign_in()
    fields = visit.open(f"/sign-out?return_to={INSIDE}").form()
    former = SETTINGS.of(app).secret_key
    newer = make_app(
        features=("pages",),
        return_urls=parse_return_urls(INSIDE),
        secret_key="another secret for tests, 987654321",
        secret_key_fallbacks=(former,),
    )
    later = Visit(newer)
    later.client.set_cookie("authserve", visit.cookie() or "")
    answer = later.send("/sign-out", fields)
    assert INSIDE in later.follow(answer).html


def test_a_signed_in_person_goes_on_at_once(visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    shown = visit.follow(visit.open(f"/sign-in?return_to={INSIDE}"))
    assert f"url={INSIDE}" in shown.html
    assert visit.open("/sign-in").location == "/account"
    assert visit.open("/sign-in?switch=1").status == 200


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example",
        "//evil.example",
        "https://app.example.com@evil.example/inside",
        "https://app.example.com/inside/../outside",
        "javascript:alert(1)",
        f"{INSIDE}#x",
        "/account",
        "",
    ],
)
def test_a_refused_address_counts_as_absent(
    visit: Visit, alice: Caller, log: Log, target: str
) -> None:
    log()
    page = visit.open("/sign-in", query_string={"return_to": target})
    events = [line["event"] for line in log()]
    assert events == ["return address is not in RETURN_URLS"] * bool(target) + ["request"]
    assert "continue" not in page.form()
    assert visit.sign_in_from(page).response.request.path == "/account"


def test_a_changed_setting_holds_at_once(app: Flask, visit: Visit, alice: Caller) -> None:
    page = visit.open(f"/sign-in?return_to={INSIDE}")
    SETTINGS.fill(app, replace(SETTINGS.of(app), return_urls=()))
    assert visit.sign_in_from(page).response.request.path == "/account"


def test_a_person_who_is_not_signed_in_comes_back_to_the_page(visit: Visit, alice: Caller) -> None:
    form = visit.open("/account?x=1&_scheme=javascript&_external=1&_anchor=y&continue=z")
    page = visit.open(form.location)
    fields = {**page.form(), "identifier": "alice", "password": PASSWORD}
    assert visit.send("/sign-in", fields).location == "/account?x=1"


@pytest.mark.parametrize(
    ("kind", "target"),
    [
        (TargetKind.PAGE, "pages.gone?"),
        (TargetKind.PAGE, "pages.sign_in?"),
        (TargetKind.PAGE, "https://evil.example"),
        (TargetKind.RETURN, "https://evil.example"),
    ],
)
def test_a_signature_alone_is_not_enough(app: Flask, kind: TargetKind, target: str) -> None:
    assert read(app, write(app, kind, target)) is None


def test_it_reads_no_other_token(app: Flask, alice: Caller) -> None:
    token = write(app, TargetKind.RETURN, INSIDE)
    assert read(app, token) is not None
    others = [alice.tokens[f"{name}_token"] for name in ("access", "refresh", "device")]
    damaged = [token[:-1], f"{token}A", token.replace("e", "f", 1), "x" * 4_000, "..", "é"]
    for other in [*others, *damaged]:
        assert read(app, other) is None


def test_no_call_takes_it_as_another_token(app: Flask, alice: Caller) -> None:
    headers = {"Authorization": f"Bearer {write(app, TargetKind.RETURN, INSIDE)}"}
    client = app.test_client()
    assert client.get("/api/v1/users/me", headers=headers).status_code == 401
    assert client.post("/api/v1/auth/refresh", headers=headers).status_code == 401


def test_a_token_that_fits_no_request_line_is_not_written(app: Flask) -> None:
    with app.test_request_context():
        long = Continuation(TargetKind.RETURN, f"{INSIDE}/{'a' * MAX_TOKEN_LENGTH}")
        assert write_continuation(long) is None


def test_it_expires_with_its_leeway(clock: time_machine.Traveller, app: Flask) -> None:
    token = write(app, TargetKind.RETURN, INSIDE)
    clock.shift(timedelta(hours=24, seconds=29))
    found = read(app, token)
    assert found is not None
    assert not found.is_expired
    clock.shift(1)
    found = read(app, token)
    assert found is not None
    assert found.is_expired


def test_past_its_life_a_person_signs_in_and_is_told(
    clock: time_machine.Traveller, visit: Visit, alice: Caller
) -> None:
    page = visit.open(f"/sign-in?return_to={INSIDE}")
    clock.shift(timedelta(hours=25))
    shown = visit.sign_in_from(page)
    assert "Open the app and start again." in shown.text
    assert "http-equiv" not in shown.html
    assert INSIDE not in shown.html
