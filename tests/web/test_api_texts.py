"""What the API says of a field reads as a page would say it, in every language."""

from collections.abc import Callable

import pytest
from flask import Flask

from authserve.core.identifiers import (
    InvalidIdentifierError,
    canonical_email,
    canonical_username,
    clean_display_name,
)
from authserve.passwords.policy import find_password_faults
from authserve.passwords.validation import BREACHED
from authserve.users.admission import FOREIGN_DOMAIN
from authserve.web.api_texts import in_page_words


def refusal_of(check: Callable[[str], str], text: str) -> str:
    """The message about a text that is no address or name."""
    with pytest.raises(InvalidIdentifierError) as caught:
        check(text)
    return str(caught.value)


MESSAGES = [
    *(
        message
        for password in ("aaa", "password", "a\x00" * 200, "ab\x00cdefgh", "alice")
        for message in find_password_faults(password, min_length=8, context=["alice"])
    ),
    BREACHED,
    FOREIGN_DOMAIN,
    refusal_of(canonical_email, "x"),
    refusal_of(canonical_username, "-"),
    *(refusal_of(clean_display_name, name) for name in ("", "a\x07", "\u200b")),
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_is_translated_with_its_numbers(app: Flask, message: str) -> None:
    shown = {}
    for language in ("en", "de"):
        with app.test_request_context(query_string={"lang": language}):
            app.preprocess_request()
            (shown[language],) = in_page_words({"field": [message]})["field"]
    assert shown["de"] != shown["en"]
    digits = {language: [*filter(str.isdigit, text)] for language, text in shown.items()}
    assert digits["de"] == digits["en"] == [*filter(str.isdigit, message)]


def test_an_unknown_message_stays(app: Flask) -> None:
    with app.test_request_context():
        app.preprocess_request()
        assert in_page_words({"a": ["Neither 1 nor 2."]}) == {"a": ["Neither 1 nor 2."]}
