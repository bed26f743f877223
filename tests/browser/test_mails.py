"""Mails in a browser's engine, the one of Gmail in Chrome: small windows and both themes."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from authserve.mail.mailer import Mailer
from authserve.mail.policy import MailKind
from tests.browser.test_basics import CONTRAST
from tests.conftest import make_settings
from tests.support.mail import Mailbox


@pytest.fixture(scope="module")
def letters() -> dict[MailKind, str]:
    """The HTML of every kind of mail in German, for a brand and a host that are long words."""
    box = Mailbox()
    settings = make_settings(
        "sqlite://",
        Path(),
        public_url=f"https://{'authentication' * 4}.example",
        default_language="de",
        brand_name="Donaudampfschifffahrtsgesellschaft1829",
        brand_color="#ffe45c",
        brand_support_url="https://example.com/help",
    )
    mailer = Mailer(settings, box)
    for kind in MailKind:
        mailer.send_sample(kind, to="alice@example.com")
    return dict(zip(MailKind, (letter.html for letter in box.letters), strict=True))


@pytest.fixture
def page(chromium) -> Page:
    """A page as narrow as the smallest telephone (WCAG 2.2, 1.4.10)."""
    context = chromium.new_context(viewport={"width": 320, "height": 640})
    yield context.new_page()
    context.close()


def test_every_mail_fits_a_small_window_and_can_be_read(
    page: Page, letters: dict[MailKind, str]
) -> None:
    for kind, html in letters.items():
        page.set_content(html)
        assert page.evaluate("document.documentElement.scrollWidth") <= 320, kind
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert page.evaluate(CONTRAST) == [], (kind, scheme)


@pytest.mark.parametrize("kind", [MailKind.INVITATION, MailKind.SIGN_IN_CODE])
def test_no_mail_has_a_barrier(page: Page, letters: dict[MailKind, str], kind: MailKind) -> None:
    page.set_content(letters[kind])
    # A mail is a part of its reader's page, which has the landmarks.
    found = Axe().run(
        page,
        options={"rules": {"region": {"enabled": False}, "landmark-one-main": {"enabled": False}}},
    )
    assert found.violations_count == 0, found.generate_report()
