"""A session that several tabs of one browser share: reloading them signs no user out."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from typing import Any

from playwright.sync_api import Page

from authserve.core.clock import now

TABS = 4
ROUNDS = 12

GRACE_IS_OVER = timedelta(seconds=11)

REFRESH_AT_LOAD = """
window.answer = null;
const refreshToken = localStorage.getItem("refresh_token");
if (refreshToken !== null) {
  fetch("/api/v1/auth/refresh", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ refresh_token: refreshToken }),
  }).then(async (response) => {
    const body = await response.json();
    if (response.ok) localStorage.setItem("refresh_token", body.refresh_token);
    window.answer = response.ok ? "refreshed" : body.code;
  });
}
"""
"""The script of a single-page application: it refreshes at load, with the token of all tabs."""


def age_last_refresh(site: Any) -> None:
    """Let the grace of the last refresh be over."""
    path = site.environ["DATABASE_URL"].removeprefix("sqlite:///")
    earlier = (now() - GRACE_IS_OVER).replace(tzinfo=None).isoformat(" ", "microseconds")
    with closing(sqlite3.connect(path, timeout=60)) as connection, connection:
        connection.execute(
            "UPDATE sessions SET rotated_at = ? WHERE rotated_at IS NOT NULL", (earlier,)
        )


def open_tabs(page: Page) -> list[Page]:
    tabs = [page, *(page.context.new_page() for _ in range(TABS - 1))]
    for tab in tabs:
        tab.add_init_script(REFRESH_AT_LOAD)
    return tabs


def test_reloading_tabs_stay_signed_in(
    site: Any, alice: Any, open_page: Callable[..., Page]
) -> None:
    # The script is the test's own, which the pages' policy does not know.
    page = open_page(f"{site.url}/verify-email", bypass_csp=True)
    tokens = alice.login("correct horse battery staple").json()
    page.evaluate("token => localStorage.setItem('refresh_token', token)", tokens["refresh_token"])
    tabs = open_tabs(page)
    for tab in tabs[1:]:
        tab.goto(page.url)
    for number in range(ROUNDS):
        # The answers of some are lost: the tab is loaded anew while its refresh is under way.
        for tab in (*tabs, *tabs[: number % TABS]):
            tab.reload(wait_until="commit")
        for tab in tabs:
            tab.wait_for_function("window.answer !== null")
            assert tab.evaluate("window.answer") == "refreshed"
        if number % 3 == 2:
            age_last_refresh(site)
    token = page.evaluate("localStorage.getItem('refresh_token')")
    response = site.client().post("/api/v1/auth/refresh", json={"refresh_token": token})
    assert response.status_code == 200
