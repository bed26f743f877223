"""The program behind a session or an event, in words.

The name comes from a closed list, or is the first product of the `User-Agent` header, of which no
more than 32 plain characters are shown: the text is the client's own. The module is small because
two subjects of the account show such names, sessions and events.
"""

from authserve.core.browsers import HANDHELDS, find_browser, find_browser_family, find_system
from authserve.web.languages import mark, translate

_BOTH = mark("%(browser)s on %(system)s")


def name_device(user_agent: str | None) -> str:
    """Return the browser and the system of a `User-Agent`: `Firefox on Linux`."""
    browser, system = find_browser(user_agent), find_system(user_agent)
    if browser and system:
        return translate(_BOTH, browser=browser, system=system)
    return (
        browser or system or find_browser_family(user_agent) or translate(mark("Unknown program"))
    )


def find_icon(user_agent: str | None) -> str:
    """Return the macro of `icons.html` that pictures the device of a `User-Agent`."""
    if find_system(user_agent) in HANDHELDS:
        return "phone"
    return "laptop" if find_browser(user_agent) else "code"
