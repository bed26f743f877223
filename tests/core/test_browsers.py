"""Names of browsers and operating systems."""

import pytest

from authserve.core.browsers import find_browser, find_browser_family, find_system

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


SYSTEMS = {
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1": "iPhone",
    "Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1": "iPad",
    "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 Chrome/142.0 Mobile": "Android",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36": "Windows",
    "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36": "ChromeOS",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1": "macOS",
    "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101": "Linux",
    "curl/8.14.1": None,
    "": None,
}


@pytest.mark.parametrize(("agent", "system"), SYSTEMS.items())
def test_a_well_known_system_is_found(agent: str, system: str | None) -> None:
    assert find_system(agent) == system
