"""Cookies of sign-ins in progress."""

from collections.abc import Callable

import pytest
from flask import Flask, Response

from authserve.web.flows import begin_flow, hold_flow
from tests.support.browsing import OWN_FORM, Visit
from tests.support.clients import PASSWORD, register_caller
from tests.support.factors import give_totp

HTTPS = "https://auth.example.com"

SENT = {"identifier": "alice", "password": PASSWORD, "remember": "1"}


def test_on_https_the_cookie_belongs_to_this_host_and_ends_soon(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app(features=("pages",), public_url=HTTPS, totp_issuer="auth.example.com")
    give_totp(app, register_caller(app, "alice").id)
    shown = Visit(app, HTTPS).send("/sign-in", SENT, headers={**OWN_FORM, "Origin": HTTPS})
    (header,) = shown.headers.getlist("Set-Cookie")
    value, *attributes = header.split("; ")
    assert value.startswith("__Host-authserve-flow-")
    wanted = {"Secure", "HttpOnly", "Path=/", "SameSite=Lax", "Max-Age=900"}
    assert wanted <= set(attributes)
    assert len(header) < 800


def test_a_value_that_is_not_ours_is_no_flow(app: Flask, visit: Visit) -> None:
    give_totp(app, register_caller(app, "alice").id)
    visit.send("/sign-in", SENT)
    (name,) = [each for each in visit.cookie_names() if "flow" in each]
    value = visit.cookie(name) or ""
    for other in (
        "",
        "x",
        value.partition(".")[2],
        value.replace(".1.", ".2."),
        f"{value}é",
        f"x{value}",
        f"{10**12}.{value.partition('.')[2]}",
    ):
        visit.client.set_cookie(name, other)
        assert visit.open(f"/sign-in/second-step?pending={name[-8:]}").status == 303, other
    visit.client.set_cookie(name, value)
    assert visit.open(f"/sign-in/second-step?pending={name[-8:]}").status == 200


@pytest.mark.parametrize(("length", "kept"), [(500, 3), (1_000, 3), (1_500, 2), (3_043, 0)])
def test_all_flows_of_a_browser_fit_into_a_header(app: Flask, length: int, kept: int) -> None:
    held = {f"authserve-flow-aaaaaaa{n}": f"170000000{n}.0.{'x' * length}" for n in range(4)}
    with app.test_request_context(headers={"Cookie": "; ".join(map("=".join, held.items()))}):
        response = Response()
        hold_flow(response, begin_flow("y" * length))
        gone = {
            header.partition("=")[0]
            for header in response.headers.getlist("Set-Cookie")
            if "Max-Age=0" in header
        }
    # The newest stay.
    assert sorted(held.keys() - gone) == sorted(held)[len(held) - kept :]
