"""The catalogs have every text for people, in every language, with the same places."""

import re
from gettext import GNUTranslations

import pytest

from authserve.core.languages import LANGUAGE_NAMES, SOURCE_LANGUAGE
from tests.support.catalogs import catalog_file, read_catalog, texts_of_code

LANGUAGES = sorted(LANGUAGE_NAMES.keys() - {SOURCE_LANGUAGE})

ADVICE = (
    "Run `make messages`, write the missing translations into "
    "authserve/locale/*/LC_MESSAGES/authserve.po, and run it again."
)

each_language = pytest.mark.parametrize("language", LANGUAGES)


def places_of(text: str) -> list[str]:
    """The places of a text, in any order."""
    return sorted(re.findall(r"%\([a-z_]+\)[a-z]|%%", text))


@each_language
def test_a_catalog_has_the_texts_of_the_code_and_no_other(language: str) -> None:
    has, needs = {entry.ids for entry in read_catalog(language)}, texts_of_code()
    assert needs - has == set(), f"Texts without an entry. {ADVICE}"
    assert has - needs == set(), f"Texts that no code uses. {ADVICE}"


@each_language
def test_every_text_is_translated(language: str) -> None:
    entries = read_catalog(language)
    assert len(entries) > 100
    missing = [entry.ids for entry in entries if not all(entry.translations) or entry.is_fuzzy]
    assert missing == [], f"Texts without a translation. {ADVICE}"


@each_language
def test_a_translation_has_the_places_of_its_text(language: str) -> None:
    for entry in read_catalog(language):
        # The English plural has every place; a singular may spell its number out.
        for text in entry.translations:
            assert places_of(text) == places_of(entry.ids[-1]), entry.ids
        assert len(entry.translations) == len(entry.ids), entry.ids


@each_language
def test_the_compiled_catalog_is_fresh(language: str) -> None:
    with catalog_file(language, ".mo").open("rb") as file:
        compiled = GNUTranslations(file)
    for entry in read_catalog(language):
        for number, text in zip((1, 2), entry.translations, strict=False):
            found = compiled.ngettext(entry.ids[0], entry.ids[-1], number)
            found = compiled.gettext(entry.ids[0]) if len(entry.ids) == 1 else found
            assert found == text, f"The compiled catalog is old. {ADVICE}"


def test_texts_have_no_markup_and_name_their_places() -> None:
    for ids in texts_of_code():
        for text in ids:
            assert re.findall(r"[<>]|&[a-z]+;|%[sd]|\{|\s{2}|^\s|\s$", text) == [], text
