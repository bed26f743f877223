"""The choice of a language at the foot of a page, and the way back to that page.

It is small because `languages`, which it needs, knows no page.
"""

import re
from collections.abc import Mapping
from dataclasses import field
from urllib.parse import urlencode, urlsplit

from flask import current_app, request
from werkzeug.exceptions import HTTPException

from authserve.core.frozen import frozen
from authserve.core.languages import LANGUAGE_NAMES
from authserve.settings.model import SETTINGS
from authserve.web.browser_session import find_visitor_if_possible, form_token
from authserve.web.languages import FIELD

_OWN_PATH = re.compile(r"/(?![/\\])[!-~]{0,4000}")
"""A path that browsers do not take for another host, longer than any with a `continue` (chosen)."""


@frozen()
class LanguageSwitch:
    """The form that changes the language.

    Args:
        names: by tag, each in its own language.
        back: the page that shows the form.
        token: of the browser's session; empty without one.
    """

    names: Mapping[str, str]
    back: str
    token: str = field(repr=False)


def find_switch() -> LanguageSwitch | None:
    """Return the form for the current request's page, or None if there is one language only."""
    languages = SETTINGS.get().languages
    if len(languages) == 1:
        return None
    visitor = find_visitor_if_possible()
    return LanguageSwitch(
        names={tag: LANGUAGE_NAMES[tag] for tag in languages},
        back=_current_page(),
        token=form_token(visitor) if visitor is not None else "",
    )


def _current_page() -> str:
    """Return path and query of the current page, without the language that it asks for.

    The page of a refused form is shown by a POST; the way back then leads to the empty form.
    """
    if request.method not in ("GET", "HEAD"):
        return request.path
    query = urlencode([(k, v) for k, v in request.args.items(multi=True) if k != FIELD])
    return f"{request.path}?{query}" if query else request.path


def read_back(path: str, *, default: str) -> str:
    """Return the path back to a page of this service, or `default` if it is none.

    Args:
        path: of `LanguageSwitch.back`, as a browser sent it.
    """
    if not _OWN_PATH.fullmatch(path):
        return default
    routes = current_app.url_map.bind("")
    try:
        routes.match(urlsplit(path).path, method="GET")
    except (HTTPException, ValueError):
        return default
    return path
