"""Programs behind sessions, in words."""

import pytest

from authserve.web.devices import find_icon, name_device

WEBKIT = "AppleWebKit/605.1 (KHTML)"

DEVICES = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Firefox/145.0": ("Firefox on Linux", "laptop"),
    f"Mozilla/5.0 (iPhone) {WEBKIT} Version/26.0 Safari/605.1": ("Safari on iPhone", "phone"),
    "Mozilla/5.0 Firefox/140.0": ("Firefox", "laptop"),
    "Dalvik/2.1.0 (Linux; U; Android 15)": ("Android", "phone"),
    "python-requests/2.32": ("python-requests", "code"),
    "<script>": ("Unknown program", "code"),
    None: ("Unknown program", "code"),
}


@pytest.mark.parametrize(("agent", "shown"), DEVICES.items())
def test_a_device_has_a_name_and_a_picture(agent: str | None, shown: tuple[str, str]) -> None:
    assert (name_device(agent), find_icon(agent)) == shown
