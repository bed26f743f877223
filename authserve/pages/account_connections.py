"""The page of what an account is connected with: apps, and services by which its user signs in.

It is small because each feature adds its own section; without one of them there is no such page.
"""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.container import Slot
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint, hide_unless
from authserve.web.access import require_signed_in

LIST = "pages.show_connections"

Section = Callable[[BrowserSession], Any]
"""A function that returns the values of a section of the page."""

SECTIONS = Slot[Mapping[str, Section]]("connection_sections")
"""The sections by their names in `account_apps.html`; empty without a feature that has one."""


@blueprint.get("/account/apps")
def show_connections() -> Response:
    """Show which apps can use the account, and which other services open it."""
    sections = SECTIONS.find() or {}
    hide_unless(bool(sections))
    session = require_signed_in()
    shown = {name: find(session) for name, find in sections.items()}
    return account_page("account_apps.html", visitor=session, below=LIST, sections=shown)
