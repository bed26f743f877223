"""The catalogs use the words of CONTRIBUTING.md, and one form of address, in every language."""

import re

import pytest

import config
from tests.support.catalogs import read_catalog

PAGE = (config.ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

TABLES = {"de": "German", "es": "Spanish"}
"""The heading of the second column of each language's table."""

FAMILIAR = {
    "de": "du|dich|dir|dein|deine|deinen|deiner|deinem|deines",
    "es": "tú|tu|tus|ti|te|contigo|tienes|puedes",
}
"""Words by which a text speaks to a friend."""

PLACE = re.compile(r"%\(\w+\)[a-z]")
"""A place of a text, whose name is English."""

each_language = pytest.mark.parametrize("language", sorted(TABLES))


def avoided_words(language: str) -> list[str]:
    """The words in the last column of a language's table."""
    (table,) = re.findall(
        rf"^\| English \| {TABLES[language]} \| not \|\n\|.*\n((?:\|.*\n)+)", PAGE, re.MULTILINE
    )
    cells = [row.rsplit("|", 2)[1].strip() for row in table.splitlines()]
    return [word for cell in cells if cell for word in cell.split(", ")]


def texts_with(language: str, words: str) -> list[str]:
    """The translations that have one of some words, which a pattern names."""
    pattern = re.compile(rf"\b(?:{words})\b", re.IGNORECASE)
    texts = [text for entry in read_catalog(language) for text in entry.translations]
    return [text for text in texts if pattern.search(PLACE.sub("", text))]


@each_language
def test_no_text_has_a_word_that_its_language_avoids(language: str) -> None:
    words = avoided_words(language)
    assert len(words) > 10
    assert texts_with(language, "|".join(map(re.escape, words))) == []


@each_language
def test_every_text_is_formal(language: str) -> None:
    assert texts_with(language, FAMILIAR[language]) == []


@each_language
def test_quotation_marks_are_those_of_the_language(language: str) -> None:
    opening, closing, others = ("„", "“", '"”«»') if language == "de" else ("«", "»", '"“”„')
    for entry in read_catalog(language):
        for text in entry.translations:
            assert not set(text) & set(others), text
            assert text.count(opening) == text.count(closing), text


def test_a_spanish_question_has_both_marks() -> None:
    for entry in read_catalog("es"):
        for text in entry.translations:
            assert text.count("¿") == text.count("?"), text
            assert text.count("¡") == text.count("!"), text
