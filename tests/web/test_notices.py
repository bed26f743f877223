"""Notices: what one page says is sealed into the URL of the redirect to it."""

from urllib.parse import urlencode

import time_machine
from flask import Flask

from authserve.web.notices import FIELD, MAX_LENGTH, NOTICE_TTL, open_notice, seal_notice


def read(app: Flask, text: str, kind: str = "sent") -> object:
    with app.test_request_context(f"/?{urlencode({FIELD: text})}"):
        return open_notice(kind)


def seal(app: Flask, **values: str) -> str:
    with app.app_context():
        return seal_notice("sent", **values)


def test_it_opens_what_was_sealed_for_the_same_page_alone(app: Flask) -> None:
    text = seal(app, email="alice@example.com")
    assert read(app, text) == {"email": "alice@example.com"}
    assert read(app, text, "other") is None
    for changed in ("", "x", text[:-4], f"{text}AAAA"):
        assert read(app, changed) is None


def test_it_is_shown_for_an_hour(clock: time_machine.Traveller, app: Flask) -> None:
    text = seal(app)
    clock.shift(NOTICE_TTL.total_seconds() - 1)
    assert read(app, text) == {}
    clock.shift(1)
    assert read(app, text) is None


def test_a_longer_text_than_a_notice_has_is_not_read(app: Flask) -> None:
    texts = [seal(app, email="x" * length) for length in range(640, 720)]
    longest = max((text for text in texts if len(text) <= MAX_LENGTH), key=len)
    longer = min((text for text in texts if len(text) > MAX_LENGTH), key=len)
    assert (len(longest), len(longer)) == (MAX_LENGTH, MAX_LENGTH + 2)
    assert read(app, longest) is not None
    assert read(app, longer) is None
