"""The way back to the page on which a language was chosen."""

import pytest
from flask import Flask

from authserve.web.language_switch import read_back

LONG = "/sign-in?continue="


@pytest.mark.parametrize(
    ("path", "is_read"),
    [
        ("/sign-in", True),
        (LONG + "x" * (4_001 - len(LONG)), True),
        (LONG + "x" * (4_002 - len(LONG)), False),
        ("/nowhere", False),
        ("//evil.example/sign-in", False),
        ("/\\evil.example", False),
        ("/sign-in?x=\n", False),
        ("", False),
    ],
)
def test_it_leads_to_a_page_of_this_service(app: Flask, path: str, is_read: bool) -> None:
    with app.test_request_context():
        assert read_back(path, default="/account") == (path if is_read else "/account")
