"""Choosing a language, and the texts of each."""

import pytest

from authserve.core.languages import (
    LANGUAGE_NAMES,
    find_language,
    get_catalog,
    read_accepted,
    text_direction,
)
from authserve.core.pseudo_languages import CLOSING, OPENING, PSEUDO_LANGUAGES

AVAILABLE = ("en", "de", "es")


@pytest.mark.parametrize(
    ("ranges", "found"),
    [
        (["de"], "de"),
        (["DE"], "de"),
        (["de-AT"], "de"),
        (["de-Latn-AT-1996"], "de"),
        (["zh-Hant", "es"], "es"),
        (["fr", "de", "es"], "de"),
        (["d", "deu", "", "-", "de_AT"], None),
        ([], None),
    ],
)
def test_a_wish_finds_the_nearest_language(ranges: list[str], found: str | None) -> None:
    assert find_language(ranges, AVAILABLE) == found


def test_a_single_letter_is_removed_with_the_subtag_after_it() -> None:
    """The example of RFC 4647 §3.4."""
    wish = ["zh-Hant-CN-x-private1-private2"]
    assert find_language(wish, ["zh-Hant-CN-x"]) is None
    assert find_language(wish, ["zh-Hant-CN-x-private1"]) == "zh-Hant-CN-x-private1"
    assert find_language(wish, ["zh-Hant"]) == "zh-Hant"


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", []),
        ("de", ["de"]),
        ("en;q=0.5, de-AT, es;q=0.75", ["de-AT", "es", "en"]),
        ("de;q=0, en;Q=0.001", ["en"]),
        ("en, de", ["en", "de"]),
        (" de ; q=1.000 ,en;q=0.9", ["de", "en"]),
        ("*, de;q=0.1", ["de"]),
        ("de;q=1.5, de;q=-1, de;q=nan, d_e, é, ;q=1, ,", []),
        ("a" * 9, []),
    ],
)
def test_the_header_is_read_by_its_weights(header: str, tags: list[str]) -> None:
    assert read_accepted(header) == tags


@pytest.mark.parametrize("language", [*LANGUAGE_NAMES, *PSEUDO_LANGUAGES])
def test_every_language_has_texts_with_both_numbers(language: str) -> None:
    catalog = get_catalog(language)
    one, many = (catalog.ngettext("%(count)d minute", "%(count)d minutes", n) for n in (1, 5))
    assert one != many
    assert all("%(count)d" in text for text in (one, many))
    assert (catalog.gettext("Sign in") == "Sign in") is (language == "en")


def test_an_unknown_language_has_none() -> None:
    with pytest.raises(FileNotFoundError):
        get_catalog("fr")


def test_a_pseudo_text_is_marked_longer_and_keeps_its_places() -> None:
    text = "Try again in %(wait)s: 100%%."
    shown = get_catalog("qps").gettext(text)
    assert shown[0] == OPENING
    assert shown[-1] == CLOSING
    assert len(shown) >= 1.4 * len(text)
    assert "2 mm" in shown % {"wait": "2 mm"}
    assert "Try" not in shown


def test_only_the_mirrored_language_runs_from_right_to_left() -> None:
    languages = [*LANGUAGE_NAMES, *PSEUDO_LANGUAGES]
    found = [language for language in languages if text_direction(language) == "rtl"]
    assert found == ["qps-plocm"]
