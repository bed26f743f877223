"""The user's own words that a mail may hold."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authserve.mail.policy import MAX_NAME_LENGTH, plain_name


@pytest.mark.parametrize(
    ("display_name", "shown"),
    [
        (None, ""),
        ("Alice Liddell", "Alice Liddell"),
        ("Jean-Luc O'Neil", "Jean-Luc O'Neil"),
        ("J.R.R. Tolkien", "J R R Tolkien"),
        ("Ærøskøbing 東京 Ünsal", "Ærøskøbing 東京 Ünsal"),
        ("http://evil.example/x?y=z", "http evil example x y z"),
        ("evil.example", "evil example"),
        ("alice@evil.example", "alice evil example"),
        ("<b>Alice</b> & co", "b Alice b co"),
        ("call 0800 123456", "call"),
        ("Alice\r\nBcc: bob@example.com", "Alice Bcc bob example com"),
        ("{{ 7 * 7 }}", ""),
        ("evil⒈com", "evil com"),
        ("a\u200db", "ab"),
        ("x" * 100, "x" * MAX_NAME_LENGTH),
        ("!!!", ""),
    ],
)
def test_it_leaves_words(display_name: str | None, shown: str) -> None:
    assert plain_name(display_name) == shown


@given(st.text())
def test_nothing_is_left_that_could_be_a_link_a_header_or_markup(display_name: str) -> None:
    shown = plain_name(display_name)
    # Some programs normalise before they detect links.
    seen = unicodedata.normalize("NFKC", shown)
    assert not re.search(r"[\x00-\x1f\x7f<>&\"./:@\\%#?=&{}\[\]()0-9]", seen)
    assert len(shown) <= MAX_NAME_LENGTH
    assert shown == shown.strip()
    assert plain_name(shown) == shown
