"""A browser without script that talks to real servers: it keeps cookies and sends forms."""

import re
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urljoin, urlsplit

import requests
from werkzeug.test import TestResponse

from tests.support.browsing import BROWSER, Shown
from tests.support.clients import PASSWORD
from tests.support.server import DEADLINE_SECS

MAX_REDIRECTS = 20
"""Redirects and pages between, after which a browser reports a loop (as Chromium does)."""

_GOES_ON = re.compile(r'<meta http-equiv="refresh" content="0; url=([^"]+)">')


@dataclass
class _Answer:
    """The part of a response that `Shown` reads."""

    status_code: int
    headers: Any
    data: bytes


class HTTPBrowser:
    """One browser; `url` is the address of the page that it shows.

    Its cookies are a host's, whatever the port, so servers of different hosts (`localhost`,
    `127.0.0.1`) share none.
    """

    def __init__(self) -> None:
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers.update({**BROWSER, "Connection": "close"})
        self.url = ""

    def ask(self, url: str, method: str = "GET", **options: Any) -> Shown:
        """Send one request."""
        self.url = urljoin(self.url, url)
        options.setdefault("timeout", DEADLINE_SECS)
        answer = self.session.request(method, self.url, allow_redirects=False, **options)
        found = _Answer(answer.status_code, answer.headers, answer.content)
        return Shown(cast(TestResponse, found))

    def open(self, url: str, *, until: str | None = None, **options: Any) -> Shown:
        """Open an address and follow where it leads; stop before `until`, if it leads there."""
        return self.follow(self.ask(url, **options), until=until)

    def follow(self, shown: Shown, *, until: str | None = None) -> Shown:
        """Follow redirects, and pages that go on by themselves."""
        for _ in range(MAX_REDIRECTS):
            target = find_target(shown)
            if target is None or (until is not None and target.startswith(until)):
                return shown
            shown = self.ask(target)
        raise AssertionError(f"a loop at {self.url}")

    def give(self, shown: Shown, *, until: str | None = None, **fields: str) -> Shown:
        """Send the form of the page that is shown, and follow where that leads."""
        action = next(form.attrib["action"] for form in shown.tree.iterfind(".//main//form"))
        return self.send(action, {**shown.form(action), **fields}, until=until)

    def send(self, action: str, fields: dict[str, str], *, until: str | None = None) -> Shown:
        """Send a form of the page that is shown, and follow where that leads."""
        place = urlsplit(self.url)
        target = urlsplit(urljoin(self.url, action))
        is_own = place[:2] == target[:2]
        headers = {
            "Origin": f"{place.scheme}://{place.netloc}",
            "Sec-Fetch-Site": "same-origin" if is_own else "cross-site",
        }
        return self.follow(self.ask(action, "POST", data=fields, headers=headers), until=until)

    def sign_in(
        self, shown: Shown, name: str, password: str = PASSWORD, *, until: str | None = None
    ) -> Shown:
        """Fill in the page to sign in that is shown."""
        return self.give(shown, identifier=name, password=password, until=until)


def find_target(shown: Shown) -> str | None:
    """Return where a page leads by itself; None if it stays."""
    if shown.status in (301, 302, 303, 307):
        return shown.location
    found = _GOES_ON.search(shown.html) if shown.status == 200 else None
    return found[1].replace("&amp;", "&") if found else None
