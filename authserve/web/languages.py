"""The language of a page, and its texts.

Every text passes through `translate`, in Python and in templates. A text is one whole sentence with
named places (`%(name)s`) and without HTML, so that a translation can put the words in its own
order. `docs/pages.md` describes how the language is chosen.
"""

from datetime import timedelta
from urllib.parse import urlencode, urlsplit

from flask import Response, request
from jinja2 import Environment

from authserve.core.languages import (
    LANGUAGE_NAMES,
    SOURCE_LANGUAGE,
    accepted_languages_var,
    find_language,
    get_catalog,
    read_accepted,
)
from authserve.core.pseudo_languages import PSEUDO_LANGUAGES
from authserve.http.request_info import find_request_state, request_state
from authserve.settings.model import SETTINGS
from authserve.web.browser_session import find_visitor_if_possible
from authserve.web.cookies import set_cookie

FIELD = "lang"
"""The name of the query parameter that shows one page in another language."""

COOKIE = "authserve-lang"

COOKIE_TTL = timedelta(days=365)
"""Time for which a browser keeps the language (design)."""

_MINUTE_SECS, _HOUR_SECS = 60, 3_600


def page_language() -> str:
    """Return the language of the current request's page; it stays the same for the request."""
    state = find_request_state()
    if state is None:
        return SOURCE_LANGUAGE
    if state.language is None:
        visitor = find_visitor_if_possible()
        state.language = _choose(visitor.account.locale if visitor is not None else None)
    return state.language


def settle_without_database() -> None:
    """Choose the language of the current request's page, by the session only if it was read.

    A page of a failure must not ask the database.
    """
    state = request_state()
    if state.language is None:
        session = state.browser.session if state.browser is not None else None
        state.language = _choose(session.account.locale if session is not None else None)


def note_language_for_mails() -> None:
    """Make the page's language that of the mails which the request leads to.

    The session is not read for it: mails prefer their reader's own `locale` anyway.
    """
    accepted_languages_var.set(_choose(None))


def _choose(locale: str | None) -> str:
    """Choose by query, account, cookie and what the browser accepts, in this order (design).

    Args:
        locale: the signed-in person's own choice.
    """
    accepted = read_accepted(request.headers.get("Accept-Language", ""))
    cookie = request.cookies.get(COOKIE, "")
    wishes = [*_asked_languages(), locale or "", cookie, *accepted]
    return find_language(wishes, _available()) or SETTINGS.get().default_language


def storable_language() -> str | None:
    """Return the page's language for an account; None for one that exists for tests alone."""
    language = page_language()
    return language if language in LANGUAGE_NAMES else None


def _available() -> tuple[str, ...]:
    settings = SETTINGS.get()
    return settings.languages if settings.is_production else settings.languages + PSEUDO_LANGUAGES


def is_offered(language: str) -> bool:
    """Return True if pages can be shown in a language."""
    return language in _available()


def query_language() -> str | None:
    """Return the language that the query asks for, or None without a known one."""
    return find_language(_asked_languages(), _available())


def _asked_languages() -> list[str]:
    state = find_request_state()
    return [request.args.get(FIELD, ""), state.asked_language if state is not None else ""]


def resume_language(language: str) -> None:
    """Treat the current request as if its query asked for a language.

    For addresses at which a person comes back from another service, which keeps no query.

    Args:
        language: from `query_language` of an earlier page; empty if it asked for none.
    """
    request_state().asked_language = language


def keep_language(path: str) -> str:
    """Return a path of this service with the language that the current query asks for, if any.

    A form that is shown under `?lang=` is so sent under it too.
    """
    language = query_language()
    if language is None:
        return path
    return f"{path}{'&' if urlsplit(path).query else '?'}{urlencode({FIELD: language})}"


def remember_language(response: Response, language: str) -> None:
    """Make the browser keep a language.

    Args:
        language: one that is offered.
    """
    set_cookie(response, COOKIE, language, max_age=int(COOKIE_TTL.total_seconds()))


def translate(text: str, **values: object) -> str:
    """Return a text in the language of the page, with its places filled."""
    translated = get_catalog(page_language()).gettext(text)
    return translated % values if values else translated


def translate_plural(one: str, several: str, count: int) -> str:
    """Return the form of a text that fits `count`, which fills the place of that name."""
    return get_catalog(page_language()).ngettext(one, several, count) % {"count": count}


def mark(text: str) -> str:
    """Return a text unchanged that is translated where it is used; a catalog's tool finds it."""
    return text


def add_texts(environment: Environment) -> None:
    """Make `_()` and `ngettext()` of templates translate; they escape the values of places."""
    environment.add_extension("jinja2.ext.i18n")
    # A text in a template may be wrapped; its line breaks and indents are no part of it.
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_callables(  # type: ignore[attr-defined]
        _gettext, _ngettext, newstyle=True
    )


def _gettext(text: str) -> str:
    return get_catalog(page_language()).gettext(text)


def _ngettext(one: str, several: str, count: int) -> str:
    return get_catalog(page_language()).ngettext(one, several, count)


def in_words(wait: timedelta) -> str:
    """Return a wait in words, rounded up, so that waiting that long is enough."""
    seconds = max(1, -int(-wait.total_seconds() // 1))
    if seconds < 2 * _MINUTE_SECS:
        return translate_plural("%(count)d second", "%(count)d seconds", seconds)
    if seconds < 2 * _HOUR_SECS:
        minutes = -(-seconds // _MINUTE_SECS)
        return translate_plural("%(count)d minute", "%(count)d minutes", minutes)
    hours = -(-seconds // _HOUR_SECS)
    return translate_plural("%(count)d hour", "%(count)d hours", hours)
