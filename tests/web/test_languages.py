"""Waits in words."""

from datetime import timedelta

import pytest

from authserve.web.languages import in_words


@pytest.mark.parametrize(
    ("wait_secs", "words"),
    [
        (0.0, "1 second"),
        (0.1, "1 second"),
        (1.1, "2 seconds"),
        (119.0, "119 seconds"),
        (120.0, "2 minutes"),
        (120.1, "3 minutes"),
        (7_199.0, "120 minutes"),
        (7_200.0, "2 hours"),
        (7_201.0, "3 hours"),
        (86_400.0, "24 hours"),
    ],
)
def test_a_wait_is_rounded_up(wait_secs: float, words: str) -> None:
    assert in_words(timedelta(seconds=wait_secs)) == words
