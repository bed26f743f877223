"""Pictures of the running service: the first minute, every mail, and every page.

    make pictures

The first two are part of the documentation and are written into this folder. Those of the pages are
for a person who changes their looks, and go to `build/pictures`, which git ignores: every page, at
both widths, in both themes, as a visitor and as a signed-in person see it.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from playwright.sync_api import Browser, Page, expect, sync_playwright

from authserve.app import create_app
from authserve.mail.mailer import Mailer
from authserve.mail.policy import MailKind
from docs.pictures.palette import read_png, write_png
from tests.browser.conftest import CHROMIUM, FLAGS, Site, running_site
from tests.conftest import make_settings, migrate
from tests.support.clients import PASSWORD
from tests.support.mail import Mailbox

HERE = Path(__file__).parent
PAGES_FOLDER = HERE.parent.parent / "build" / "pictures"

BRAND = "Larkspur"
EMAIL = "ada@example.com"

COLORS = 24
"""Colours of a picture of the documentation (chosen): text has smooth edges, and the largest file
is still under 40 kB."""

PHONE_PX = 390
WIDTHS_PX = (PHONE_PX, 1280)
THEMES = ("light", "dark")


def main() -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as name, open_browser() as browser:
        folder = Path(name)
        template = folder / "template.db"
        database_url = f"sqlite:///{template}"
        migrate(database_url, folder)
        write_mails(browser, HERE / "mails")
        # The default brand, which is what `make run` shows.
        with run(template, folder / "first-minute", BRAND_NAME="localhost") as site:
            write_first_minute(browser, site, HERE)
        with run(template, folder / "pages", BRAND_NAME=BRAND) as site:
            write_pages(browser, site, find_paths(database_url), PAGES_FOLDER)


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
    with running_site(template, folder, FEATURES="pages", **environ) as site:
        yield site


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
    sign_in(page)
    save(page, folder / "account.png")
    page.close()


def print_first_link(site: Site) -> str:
    """Return the link that `make run` prints."""
    return next(word for word in site.command("ready").split() if "#" in word)


def sign_in(page: Page) -> None:
    """Send the form of the sign-in page that is open."""
    page.get_by_label("Email address or username").fill(EMAIL)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).not_to_have_text("Sign in")


def save(page: Page, path: Path) -> None:
    """Write what the window shows, with few colours."""
    picture = page.screenshot(animations="disabled", caret="hide")
    path.write_bytes(write_png(read_png(picture), colors=COLORS))


def write_pages(browser: Browser, site: Site, paths: list[str], folder: Path) -> None:
    """Write every page of `paths`, as a visitor and as a signed-in person see it."""
    person = {"email": EMAIL, "username": "ada", "display_name": "Ada Lovelace"}
    site.client().post("/api/v1/auth/register", json={**person, "password": PASSWORD})
    for kind in ("visitor", "person"):
        page = browser.new_page()
        page.goto(f"{site.url}/sign-in")
        if kind == "person":
            sign_in(page)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for path in paths:
            page.goto(site.url + path)
            name = path.strip("/").replace("/", "-") or "start"
            for width, theme in product(WIDTHS_PX, THEMES):
                picture = shoot(page, theme=theme, width=width)
                (folder / kind / f"{name}-{width}-{theme}.png").write_bytes(picture)
        page.close()


def find_paths(database_url: str) -> list[str]:
    """Return the path of every page that answers GET and needs no id."""
    app = create_app(make_settings(database_url, HERE, features=("pages",)))
    rules = [rule for rule in app.url_map.iter_rules() if rule.endpoint.startswith("pages.")]
    return sorted(r.rule for r in rules if "GET" in (r.methods or ()) and not r.arguments)


def shoot(page: Page, *, theme: str, width: int = PHONE_PX) -> bytes:
    """Return a picture of the whole page."""
    page.set_viewport_size({"width": width, "height": 200})
    page.emulate_media(color_scheme=theme)
    return page.screenshot(full_page=True, animations="disabled", caret="hide")


if __name__ == "__main__":
    main()
