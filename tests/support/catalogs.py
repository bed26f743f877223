"""Catalogs and the texts of the code, read without the tool that makes the one from the other."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment

from authserve.core.languages import CATALOG, LOCALE_FOLDER
from tests.architecture.sources import PACKAGE, at, parse

FUNCTIONS = {"_", "gettext", "ngettext", "mark", "translate", "translate_plural"}
"""Functions whose first texts are translated; `make messages` has the same names."""

_PLURAL = {"ngettext", "translate_plural"}

_ENTRY = re.compile(r'^(msgid|msgid_plural|msgstr(?:\[\d\])?) (".*"(?:\n".*")*)', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Entry:
    """One text of a catalog.

    Args:
        ids: the English text, or its singular and plural.
        translations: one text, or one for each plural form.
    """

    ids: tuple[str, ...]
    translations: tuple[str, ...]
    is_fuzzy: bool


def catalog_file(language: str, suffix: str) -> Path:
    """Return the path of a catalog: `.po` or `.mo`."""
    return LOCALE_FOLDER / language / "LC_MESSAGES" / f"{CATALOG}{suffix}"


def read_catalog(language: str) -> list[Entry]:
    """Return the entries of a catalog's source, but for its header."""
    found = []
    for block in catalog_file(language, ".po").read_text(encoding="utf-8").split("\n\n"):
        parts = [(name, _join(text)) for name, text in _ENTRY.findall(block)]
        ids = tuple(text for name, text in parts if name.startswith("msgid"))
        translations = tuple(text for name, text in parts if name.startswith("msgstr"))
        if ids and ids != ("",):
            found.append(Entry(ids, translations, is_fuzzy="#, fuzzy" in block))
    return found


def _join(quoted: str) -> str:
    """Return the text of one or several quoted lines."""
    text: str = ast.literal_eval(f"({quoted})")
    return text


@cache
def texts_of_code() -> set[tuple[str, ...]]:
    """Return every text that modules and templates translate, with its plural if it has one."""
    modules = (text for path in PACKAGE.rglob("*.py") for text in _texts_of_module(path))
    templates = (
        text for path in PACKAGE.glob("*/templates/*") for text in _texts_of_template(path)
    )
    return {*modules, *templates}


def _texts_of_module(path: Path) -> Iterator[tuple[str, ...]]:
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            name = node.func.id
            wanted = node.args[: 2 if name in _PLURAL else 1] if name in FUNCTIONS else []
            texts = tuple(arg.value for arg in wanted if isinstance(arg, ast.Constant))
            # What `mark` marks is collected nowhere else.
            assert name != "mark" or texts, at(path, node)
            if texts:
                yield texts


def _texts_of_template(path: Path) -> Iterator[tuple[str, ...]]:
    environment = Environment(extensions=["jinja2.ext.i18n"], autoescape=True)
    environment.policies["ext.i18n.trimmed"] = True
    found = environment.extract_translations(  # type: ignore[attr-defined]
        path.read_text(encoding="utf-8"), FUNCTIONS
    )
    for _line, name, texts in found:
        parts = texts if isinstance(texts, tuple) else (texts,)
        kept = tuple(part for part in parts[: 2 if name in _PLURAL else 1] if part is not None)
        if kept:
            yield kept
