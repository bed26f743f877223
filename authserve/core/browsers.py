"""Names of browsers and operating systems, found in the `User-Agent` header."""

import re
from functools import lru_cache

_BROWSERS = (
    ("Edge", re.compile(r"\bEdgA?(?:iOS)?/")),
    ("Opera", re.compile(r"\bOPR/|\bOPT/")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\bFirefox/|\bFxiOS/")),
    ("Chrome", re.compile(r"\bChrome/|\bCriOS/|\bChromium/")),
    ("Safari", re.compile(r"\bVersion/[0-9.]+ (?:Mobile/\w+ )?Safari/")),
)
"""Patterns by name. The order matters: a browser's User-Agent can match later patterns too."""

_SYSTEMS = (
    ("iPhone", ("iPhone",)),
    ("iPad", ("iPad",)),
    ("Android", ("Android",)),
    ("Windows", ("Windows NT",)),
    ("ChromeOS", ("; CrOS ",)),
    ("macOS", ("Macintosh",)),
    ("Linux", ("Linux", "X11")),
)
"""Substrings by name, in this order: Android's User-Agent has "Linux" too. An iPad that asks for
desktop sites calls itself a Macintosh."""

HANDHELDS = frozenset({"iPhone", "iPad", "Android"})
"""The systems of phones and tablets."""

REMEMBERED_NAMES = 256
"""User-Agents of which a process remembers the names (chosen): a page shows few, and often."""

_PRODUCT = re.compile(r"[A-Za-z0-9._-]{1,32}")


@lru_cache(REMEMBERED_NAMES)
def find_browser(user_agent: str | None) -> str | None:
    """Return the name of a well-known browser, for display; None for any other client."""
    names = (name for name, pattern in _BROWSERS if pattern.search(user_agent or ""))
    return next(names, None)


@lru_cache(REMEMBERED_NAMES)
def find_system(user_agent: str | None) -> str | None:
    """Return the name of a well-known operating system, for display; None for any other."""
    text = user_agent or ""
    names = (name for name, parts in _SYSTEMS if any(part in text for part in parts))
    return next(names, None)


def find_browser_family(user_agent: str | None) -> str:
    """Return the part of a User-Agent that versions share: a browser, else its first product.

    A program that changes its product name with each version is a new device each time.
    """
    product = _PRODUCT.match(user_agent or "")
    return find_browser(user_agent) or (product[0].lower() if product else "")
