"""The language of texts for people.

Every text passes through `translate`, in Python and in templates, so that catalogs can be added.
English is the only language so far. A text is one whole sentence with named places (`%(name)s`), so
that a translation can put the words in its own order.
"""

from datetime import timedelta
from gettext import NullTranslations

from jinja2 import Environment

_CATALOG = NullTranslations()

DEFAULT_LANGUAGE = "en"

_MINUTE_SECS = 60


def translate(text: str, **values: object) -> str:
    """Return a text in the language of the page, with its places filled."""
    translated = _CATALOG.gettext(text)
    return translated % values if values else translated


def translate_plural(one: str, several: str, count: int) -> str:
    """Return the form of a text that fits `count`, which fills the place of that name."""
    return _CATALOG.ngettext(one, several, count) % {"count": count}


def mark(text: str) -> str:
    """Return a text unchanged that is translated where it is used; a catalog's tool finds it."""
    return text


def add_texts(environment: Environment) -> None:
    """Make `_()` and `ngettext()` of templates translate; they escape the values of places."""
    environment.add_extension("jinja2.ext.i18n")
    environment.install_gettext_translations(  # type: ignore[attr-defined]
        _CATALOG, newstyle=True
    )


def in_words(wait: timedelta) -> str:
    """Return a wait in words, rounded up, so that waiting that long is enough."""
    seconds = max(1, -int(-wait.total_seconds() // 1))
    if seconds < 2 * _MINUTE_SECS:
        return translate_plural("%(count)d second", "%(count)d seconds", seconds)
    minutes = -(-seconds // _MINUTE_SECS)
    return translate_plural("%(count)d minute", "%(count)d minutes", minutes)
