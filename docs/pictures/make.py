"""Pictures of the running service: the first minute, every mail, and every page.

    make pictures
    make pictures PICTURES_LANGUAGE=de

The first two are part of the documentation and are written into this folder. Those of the pages are
for a person who changes their looks, and go to `build/pictures`, which git ignores: every page, at
both widths, in both themes, as a visitor and as a signed-in person see it, in the language that the
environment names.
"""

import os
import tempfile
from pathlib import Path

from playwright.sync_api import Browser

from authserve.mail.mailer import Mailer
from authserve.mail.policy import MailKind
from docs.pictures.browser import COLORS, PHONE_PX, THEMES, open_browser, run, save, shoot, sign_in
from docs.pictures.pages import EMAIL, FEATURES, write_pages
from docs.pictures.palette import read_png, write_png
from tests.conftest import make_settings, migrate
from tests.support.clients import PASSWORD
from tests.support.mail import Mailbox
from tests.support.site import Site

HERE = Path(__file__).parent
PAGES_FOLDER = HERE.parent.parent / "build" / "pictures"

BRAND = "Larkspur"


def main() -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as name, open_browser() as browser:
        folder = Path(name)
        template = folder / "template.db"
        migrate(f"sqlite:///{template}", folder)
        write_mails(browser, HERE / "mails")
        with run(template, folder / "first-minute", EMAIL_SIGN_IN="off") as site:
            write_first_minute(browser, site, HERE)
        with run(template, folder / "pages", BRAND_NAME=BRAND, FEATURES=",".join(FEATURES)) as site:
            language = os.environ.get("PICTURES_LANGUAGE", "en")
            write_pages(browser, site, language, PAGES_FOLDER / language)


def write_mails(browser: Browser, folder: Path) -> None:
    """Write a picture of each kind of mail on a telephone, in light beside dark."""
    folder.mkdir(exist_ok=True)
    box = Mailbox()
    settings = make_settings(
        "sqlite://", folder, public_url="https://login.example.com", brand_name=BRAND
    )
    mailer = Mailer(settings, box)
    page = browser.new_page(viewport={"width": PHONE_PX, "height": 200})
    for kind in MailKind:
        mailer.send_sample(kind, to=EMAIL)
        page.set_content(box.letters[-1].html)
        light, dark = (read_png(shoot(page, theme=theme)) for theme in THEMES)
        (folder / f"{kind}.png").write_bytes(write_png(light.beside(dark), colors=COLORS))
    page.close()


def write_first_minute(browser: Browser, site: Site, folder: Path) -> None:
    """Write what an operator sees who opens the printed addresses on an empty database."""
    page = browser.new_page(viewport={"width": PHONE_PX, "height": 640}, device_scale_factor=2)
    page.goto(site.url)
    save(page, folder / "sign-in.png")
    page.goto(print_first_link(site))
    page.get_by_label("Email address").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    save(page, folder / "first-administrator.png")
    page.get_by_role("button", name="Create the administrator").click()
    page.get_by_role("link", name="Sign in").click()
    sign_in(page, EMAIL)
    save(page, folder / "account.png")
    page.close()


def print_first_link(site: Site) -> str:
    """Return the link that `make run` prints."""
    return next(word for word in site.command("ready").split() if "#" in word)


if __name__ == "__main__":
    main()
