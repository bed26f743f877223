"""Redirect URIs that were refused, and what is kept of them."""

import pytest
import time_machine
from flask import Flask

from authserve.clients.refused_redirects import (
    MAX_KEPT,
    WRITE_INTERVAL,
    list_refused_redirects,
    note_refused_redirect,
)
from authserve.core.clock import now
from tests.clients.test_registry import register
from tests.support.marks import both_databases

pytestmark = pytest.mark.usefixtures("clock", "context")


def note(value: str, client_id: str = "wiki") -> None:
    note_refused_redirect(client_id, value, now=now())


def kept(client_id: str = "wiki") -> list[tuple[str, int]]:
    return [(found.value, found.count) for found in list_refused_redirects(client_id)]


@both_databases
def test_few_are_kept_and_one_is_written_a_minute(
    clock: time_machine.Traveller, app: Flask
) -> None:
    register("wiki")
    register("chat")
    for value in ("https://a.example/\u00e9", "https://b.example/", "https://a.example/\u00e9"):
        note(value)
    note("https://c.example/", "chat")
    assert (kept(), kept("chat")) == (
        [("https://a.example/\u00e9", 1)],
        [("https://c.example/", 1)],
    )
    clock.shift(WRITE_INTERVAL)
    note("https://a.example/\u00e9")
    assert kept() == [("https://a.example/\u00e9", 2)]
    for number in range(MAX_KEPT):
        clock.shift(WRITE_INTERVAL)
        note(f"https://{number}.example/")
    assert kept() == [(f"https://{number}.example/", 1) for number in reversed(range(MAX_KEPT))]
