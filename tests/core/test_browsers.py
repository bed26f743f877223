"""Names of browsers."""

import pytest

from authserve.core.browsers import find_browser, find_browser_family

AGENTS = {
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0": "Firefox",
    "Mozilla/5.0 (iPhone) AppleWebKit/605.1 (KHTML) FxiOS/140.0 Mobile/15E Safari/605.1": "Firefox",
    "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML) Chrome/142.0 Safari/537.36": "Chrome",
    "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML) Chrome/142.0 Safari/537.36 Edg/142.0": "Edge",
    "Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML) Chrome/142.0 Safari/537.36 OPR/126.0": "Opera",
    "Mozilla/5.0 (Mac) AppleWebKit/605.1 (KHTML) Version/26.0 Safari/605.1": "Safari",
    "Mozilla/5.0 (iPhone) AppleWebKit/605.1 (KHTML) Version/26.0 Mobile/15E Safari/604.1": "Safari",
    "curl/8.14.1": "curl",
    "MyApp/1.2 (iOS)": "myapp",
    "\x00": "",
    "": "",
}


@pytest.mark.parametrize(("agent", "family"), AGENTS.items())
def test_a_browser_family_outlives_its_versions(agent: str, family: str) -> None:
    assert find_browser_family(agent) == family
    assert find_browser(agent) == (family if family[:1].isupper() else None)
