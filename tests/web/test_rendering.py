"""Values that templates show in a form of their own."""

from datetime import UTC, datetime

from authserve.web.rendering import show_time


def test_a_time_is_neutral_text_and_exact_for_the_script() -> None:
    shown = show_time(datetime(2026, 11, 27, 9, 57, 3, tzinfo=UTC))
    assert shown == '<time datetime="2026-11-27T09:57:03Z">2026-11-27 09:57 UTC</time>'
