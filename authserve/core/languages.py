"""The languages of texts for people: their catalogs, and the choice of one for a reader.

Pages and mails share the catalogs in `authserve/locale`. Each is read on its first use, by the
standard library's gettext. The texts in the code are English, so English has no catalog.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from gettext import NullTranslations, translation
from pathlib import Path

from authserve.core.pseudo_languages import PSEUDO_LANGUAGES, PseudoTranslations

LANGUAGE_NAMES: Mapping[str, str] = {"en": "English", "de": "Deutsch", "es": "Español"}
"""The closed list of languages by tag (BCP 47), each with its own name for itself."""

SOURCE_LANGUAGE = "en"
"""The language of the texts in the code."""

RIGHT_TO_LEFT = frozenset({"qps-plocm"})
"""The languages that are written from right to left."""

CATALOG = "authserve"
LOCALE_FOLDER = Path(__file__).parents[1] / "locale"
"""The catalogs: `<language>/LC_MESSAGES/authserve.po` for translators, `.mo` for gettext."""

accepted_languages_var: ContextVar[str] = ContextVar("accepted_languages", default="")
"""The languages that the client of the current request accepts, as in `Accept-Language`."""

_RANGE = re.compile(
    r"\s*([a-z]{1,8}(?:-[a-z0-9]{1,8})*)\s*(?:;\s*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*)?",
    re.IGNORECASE,
)
"""One entry of `Accept-Language` but for `*` (RFC 9110 §12.5.4; RFC 4647 §2.1)."""


@cache
def get_catalog(language: str) -> NullTranslations:
    """Return the texts of a language.

    Args:
        language: a tag of `LANGUAGE_NAMES` or `PSEUDO_LANGUAGES`.

    Raises:
        FileNotFoundError: the language has no catalog.
    """
    if language == SOURCE_LANGUAGE:
        return NullTranslations()
    if language in PSEUDO_LANGUAGES:
        return PseudoTranslations(is_mirrored=language in RIGHT_TO_LEFT)
    return translation(CATALOG, LOCALE_FOLDER, [language])


def text_direction(language: str) -> str:
    """Return the direction of a language as HTML's `dir` names it: `ltr` or `rtl`."""
    return "rtl" if language in RIGHT_TO_LEFT else "ltr"


def find_language(ranges: Iterable[str], available: Sequence[str]) -> str | None:
    """Return the first language that a list of wishes leads to (RFC 4647 §3.4, Lookup).

    Args:
        ranges: language tags of any form, the most wanted first; `de-AT` also finds `de`.
        available: the tags to choose from.
    """
    by_name = {tag.lower(): tag for tag in available}
    for wanted in ranges:
        subtags = wanted.lower().split("-")
        while subtags:
            found = by_name.get("-".join(subtags))
            if found is not None:
                return found
            subtags.pop()
            # A single letter introduces the subtag after it, so it goes with it (ibid.).
            if subtags and len(subtags[-1]) == 1:
                subtags.pop()
    return None


def read_accepted(header: str) -> list[str]:
    """Return the languages of a header `Accept-Language`, the most wanted first.

    Entries of another form are left out, as are `*` and those with a quality of 0.
    """
    found = [match for part in header.split(",") if (match := _RANGE.fullmatch(part))]
    weighted = [(match[1], float(match[2] or 1)) for match in found]
    wanted = sorted(weighted, key=lambda entry: -entry[1])
    return [tag for tag, quality in wanted if quality > 0]


def request_locale() -> str | None:
    """Return the language of the current request, or None if it has none that is known."""
    return find_language(read_accepted(accepted_languages_var.get()), tuple(LANGUAGE_NAMES))
