"""People who use the pages in a real browser, by keyboard."""

from uuid import uuid4

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.support.clients import PASSWORD
from tests.support.server import Server

expect.set_options(timeout=20_000)


class Person:
    """A person with an account and a browser of their own, which notes complaints."""

    def __init__(self, site: Server, page: Page) -> None:
        self.site, self.page = site, page
        self.email = f"user-{uuid4().hex[:8]}@example.com"
        self.complaints: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        body = {"email": self.email, "password": PASSWORD}
        answer = site.client().post("/api/v1/auth/register", json=body)
        assert answer.status_code == 201, answer.text

    def _note(self, kind: str, text: str) -> None:
        # The browser itself writes a line for each page with a status from 400 on.
        if kind in ("error", "warning") and "responded with a status of" not in text:
            self.complaints.append(text)

    def open(self, path: str) -> None:
        """Open a page."""
        self.page.goto(self.site.url + path)

    def type(self, *texts: str) -> None:
        """Type into the fields in their order, from the one with the focus, and press Enter."""
        self._wait_for_focus()
        for number, text in enumerate(texts):
            if number:
                self.page.keyboard.press("Tab")
            self.page.keyboard.insert_text(text)
        self.page.keyboard.press("Enter")

    def _wait_for_focus(self) -> None:
        """Wait until a field has the focus: a busy browser gives it some time after the load."""
        expect(self.page.locator("input:focus")).to_have_count(1)

    def sign_in(self, password: str = PASSWORD, path: str = "/sign-in") -> None:
        """Sign in by keyboard alone."""
        self.open(path)
        self.fill_in(password)

    def fill_in(self, password: str = PASSWORD) -> None:
        """Fill in the page to sign in that is shown, by keyboard alone."""
        self.type(self.email, password)


def check_page(page: Page) -> None:
    """Check that a page has no barrier that axe finds, and fits every window."""
    found = Axe().run(page)
    assert found.violations_count == 0, (page.url, found.generate_report())
    for width in (320, 1280, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, page.url
