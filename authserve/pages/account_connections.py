"""The page of what an account is connected with: apps, and services by which its user signs in.

It is small because each feature adds its own section; without one of them there is no such page.
"""

from collections.abc import Callable
from typing import Any

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.container import ListSlot
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import abort_404_unless, blueprint
from authserve.web.access import require_signed_in

LIST = "pages.show_connections"

Section = Callable[[BrowserSession], Any]
"""A function that returns the values of a section of the page."""

SECTIONS = ListSlot[tuple[str, Section]]("connection_sections")
"""The names of the sections in `account_apps.html`, each with its function."""


@blueprint.get("/account/apps")
def show_connections() -> Response:
    """Show which apps can use the account, and which other services open it."""
    sections = SECTIONS.get()
    abort_404_unless(bool(sections))
    session = require_signed_in()
    shown = {name: find(session) for name, find in sections}
    return account_page("account_apps.html", visitor=session, below=LIST, sections=shown)
