"""The running service and the browser that looks at it, from the browser tests."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from docs.pictures.palette import read_png, write_png
from tests.browser.conftest import CHROMIUM, FLAGS
from tests.support.clients import PASSWORD
from tests.support.site import Site, running_site

COLORS = 24
"""Colours of a picture of the documentation (chosen): text has smooth edges, and the largest file
is still under 40 kB."""

PHONE_PX = 390
WIDTHS_PX = (PHONE_PX, 1280)
THEMES = ("light", "dark")


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Open the system's Chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@contextmanager
def run(template: Path, folder: Path, **environ: str) -> Iterator[Site]:
    """Run the service with pages, on a database of its own."""
    folder.mkdir()
    settings = {"FEATURES": "pages", "EMAIL_SIGN_IN": "on", **environ}
    with running_site(template, folder, **settings) as site:
        yield site


def sign_in(page: Page, email: str) -> None:
    """Send the form of the sign-in page that is open."""
    page.locator("#identifier").fill(email)
    page.locator("#password").fill(PASSWORD)
    page.locator("form[action^='/sign-in'] button.primary").first.click()
    expect(page.locator("#identifier")).to_have_count(0)


def shoot(page: Page, *, theme: str, width: int = PHONE_PX) -> bytes:
    """Return a picture of the whole page."""
    page.set_viewport_size({"width": width, "height": 200})
    page.emulate_media(color_scheme=theme)
    return page.screenshot(full_page=True, animations="disabled", caret="hide")


def save(page: Page, path: Path) -> None:
    """Write what the window shows, with few colours."""
    picture = page.screenshot(animations="disabled", caret="hide")
    path.write_bytes(write_png(read_png(picture), colors=COLORS))
