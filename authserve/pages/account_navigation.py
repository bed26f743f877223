"""The frame of the account's pages: the list of them that each one shows.

It is small because each page of the account adds one line to it.
"""

from collections.abc import Collection
from typing import Any

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.frozen import frozen
from authserve.pages.blueprint import link_to, page
from authserve.settings.model import SETTINGS
from authserve.web.languages import mark


@frozen()
class Entry:
    """A page of the account in the list of them.

    Args:
        endpoint: of the view that shows it.
        name: its name there, marked for translation.
        icon: a macro of `icons.html`.
        feature: the optional feature that the page belongs to, if any.
        unless: the optional feature with which another entry takes its place, if any.
    """

    endpoint: str
    name: str
    icon: str
    feature: str | None = None
    unless: str | None = None

    def is_shown(self, features: Collection[str]) -> bool:
        """Return True if the list has the entry while these features are on."""
        return (self.feature is None or self.feature in features) and self.unless not in features


_CONNECTIONS = "pages.show_connections"


ENTRIES = (
    Entry("pages.show_account", mark("Overview"), "home"),
    Entry("pages.show_profile", mark("Profile"), "person"),
    Entry("pages.show_password", mark("Password"), "lock"),
    Entry("pages.show_methods", mark("Sign-in methods"), "shield"),
    Entry("pages.show_sessions", mark("Sessions"), "laptop"),
    Entry(_CONNECTIONS, mark("Apps"), "globe", feature="oidc", unless="federation"),
    Entry(_CONNECTIONS, mark("Connections"), "globe", feature="federation"),
    Entry("key_pages.show_keys", mark("API keys"), "code", feature="api-keys"),
    Entry("pages.show_activity", mark("Activity"), "clock"),
    Entry("pages.show_data", mark("Your data"), "download"),
)
"""The pages in the order of the list; each page has its line here."""


def account_page(template: str, *, visitor: BrowserSession, below: str, **values: Any) -> Response:
    """Return a page of the account, in its frame.

    Args:
        template: extends `account_base.html`.
        below: the endpoint of the entry that the page belongs to, so that the list marks it.
        values: see `web.rendering.render`.
    """
    features = SETTINGS.get().features
    navigation = [
        {
            "path": link_to(entry.endpoint, ""),
            "name": entry.name,
            "icon": entry.icon,
            "is_current": entry.endpoint == below,
        }
        for entry in ENTRIES
        if entry.is_shown(features)
    ]
    return page(template, visitor=visitor, navigation=navigation, **values)
