"""A browser without script: it keeps cookies, follows redirects, and sends forms that it shows."""

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from urllib.parse import urljoin, urlsplit
from uuid import UUID
from xml.etree.ElementTree import Element

import html5lib
from flask import Flask
from werkzeug.test import TestResponse

from authserve.web.browser_session import read_cookie
from tests.support.clients import PASSWORD

ORIGIN = "http://localhost:8000"
"""The origin of `PUBLIC_URL` in tests."""

BROWSER = {"Accept": "text/html,application/xhtml+xml", "User-Agent": "Mozilla/5.0 Firefox/140.0"}
"""Headers of every request of a browser."""

OWN_FORM = {"Origin": ORIGIN, "Sec-Fetch-Site": "same-origin"}
"""Headers of a form of our own page."""


def parse_strictly(html: str) -> Element:
    """Return the tree of a page; it raises at the first fault of the markup."""
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree: Element = parser.parse(html)
    return tree


def _without_script(forms: list[Element]) -> list[Element]:
    return [form for form in forms if "data-passkey" not in form.attrib]


@dataclass
class Shown:
    """A page, or the answer that has none."""

    response: TestResponse

    def __post_init__(self) -> None:
        self.status = self.response.status_code
        self.headers = self.response.headers
        self.html = self.response.data.decode(errors="replace")

    @cached_property
    def tree(self) -> Element:
        """The page's elements."""
        return parse_strictly(self.html)

    @property
    def text(self) -> str:
        """The words of the page's body, with single spaces."""
        body = self.tree.find("body")
        assert body is not None
        return " ".join(" ".join(body.itertext()).split())

    @property
    def title(self) -> str:
        """The page's title."""
        found = self.tree.find("head/title")
        assert found is not None
        return " ".join((found.text or "").split())

    @property
    def location(self) -> str:
        """Where the answer sends the browser."""
        return self.headers["Location"]

    @property
    def forms(self) -> list[Element]:
        """The forms in the page's content."""
        return self._forms(None)

    def form(self, action: str | None = None) -> dict[str, str]:
        """Return the fields of the form in the page's content, or of the one sent to `action`."""
        forms = [form for form in self._forms(action) if action in (None, form.get("action"))]
        assert len(forms) == 1, [form.attrib for form in forms]
        inputs = [
            field
            for field in forms[0].iter("input")
            if field.get("type") != "checkbox" and "disabled" not in field.attrib
        ]
        return {field.attrib["name"]: field.get("value", "") for field in inputs}

    def _forms(self, action: str | None) -> list[Element]:
        within = self.tree.find(".//main") if action is None else self.tree
        assert within is not None
        forms = list(within.iter("form"))
        # The form to sign in stands before one that a passkey fills in.
        return forms if action or len(forms) == 1 else _without_script(forms)

    def fault(self, name: str) -> str:
        """Return the text of a field's fault; the field must refer to it."""
        (field,) = [f for f in self.tree.iter("input") if f.get("name") == name]
        assert field.get("aria-invalid") == "true", field.attrib
        assert f"{name}-fault" in field.get("aria-describedby", "").split()
        (element,) = [e for e in self.tree.iter() if e.get("id") == f"{name}-fault"]
        return " ".join(" ".join(element.itertext()).split())

    @property
    def passkey_options(self) -> dict[str, Any]:
        """The options of a passkey that the page carries for its script."""
        (form,) = [each for each in self.tree.iter("form") if "data-options" in each.attrib]
        options: dict[str, Any] = json.loads(form.attrib["data-options"])
        return options

    @property
    def alert(self) -> str:
        """The text of the refusal of the whole form."""
        (element,) = [e for e in self.tree.iter() if e.get("role") == "alert"]
        return " ".join(" ".join(element.itertext()).split())


class Visit:
    """One browser."""

    def __init__(self, app: Flask, base_url: str = ORIGIN) -> None:
        self.client = app.test_client()
        self.base_url = base_url

    def open(self, path: str, **options: Any) -> Shown:
        """Ask for a page; redirects are not followed."""
        headers = {**BROWSER, **options.pop("headers", {})}
        options = {"base_url": self.base_url, "headers": headers, **options}
        return Shown(self.client.get(path, **options))

    def send(
        self, path: str, fields: dict[str, str], *, headers: dict[str, str] | None = None
    ) -> Shown:
        """Send a form; redirects are not followed."""
        sent = {**BROWSER, **(OWN_FORM if headers is None else headers)}
        return Shown(self.client.post(path, data=fields, base_url=self.base_url, headers=sent))

    def follow(self, shown: Shown) -> Shown:
        """Follow redirects to the page where they end."""
        while shown.status in (302, 303):
            target = urljoin(self.base_url, shown.location)
            assert urlsplit(target).netloc == urlsplit(self.base_url).netloc, target
            shown = self.open(target.removeprefix(self.base_url))
        return shown

    def fill(self, path: str, **fields: str) -> Shown:
        """Open a page, send its form with these fields, and follow where that leads."""
        page = self.open(path)
        assert page.status == 200, page.html
        action = next(form.get("action") for form in page.tree.iterfind(".//main//form"))
        assert action is not None
        return self.follow(self.send(action, {**page.form(action), **fields}))

    def give(self, shown: Shown, **fields: str) -> Shown:
        """Send the form of a page that is shown, and follow where that leads."""
        action = next(form.attrib["action"] for form in shown.tree.iterfind(".//main//form"))
        return self.follow(self.send(action, {**shown.form(action), **fields}))

    def sign_in(self, name: str = "alice", password: str = PASSWORD, **fields: str) -> Shown:
        """Sign in with a password."""
        return self.fill("/sign-in", identifier=name, password=password, **fields)

    def sign_in_from(self, page: Shown, name: str = "alice", password: str = PASSWORD) -> Shown:
        """Sign in with the form of a page that was opened before."""
        fields = {**page.form("/sign-in"), "identifier": name, "password": password}
        return self.follow(self.send("/sign-in", fields))

    def cookie(self, name: str = "authserve") -> str | None:
        """Return the value of a cookie."""
        found = self.client.get_cookie(name)
        return None if found is None else found.value

    def cookie_names(self) -> list[str]:
        """Return the names of all cookies."""
        return sorted(name for _domain, _path, name in self.client._cookies or {})

    @property
    def session_id(self) -> UUID:
        """The id of the session that the cookie names."""
        found = read_cookie(self.cookie() or "")
        assert found is not None
        return found.session_id


def find_unsafe_markup(html: str) -> list[str]:
    """Return what the policy of pages would refuse: styles, handlers and scripts in the markup."""
    inline = re.findall(r"<[^>]*\s(?:style|on[a-z]+)\s*=", html)
    return inline + re.findall(r"<script[^>]*>[^<]+|<style|javascript:|data:", html)
