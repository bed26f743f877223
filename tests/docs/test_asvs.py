"""docs/asvs.md has every requirement once, and names nothing that is not there."""

import ast
import re
from functools import cache
from pathlib import Path

import config

PAGE = config.ROOT / "docs" / "asvs.md"
TEXT = PAGE.read_text(encoding="utf-8")

CHAPTERS = {
    1: "1.1 1.2 2.1 2.2 2.3 2.4 2.5 2.9 3.2 3.3 3.6 3.7 3.10 3.11 3.12 4.2 5.2 5.3",
    2: "1.1 1.2 1.3 2.1 2.2 2.3 3.1 3.2 3.3 3.4 4.1",
    3: "2.1 2.2 3.1 3.2 3.3 3.4 3.5 4.1 4.2 4.3 4.4 4.5 4.6 4.8 5.1 5.2 5.3 5.4 5.8 7.1 7.2",
    4: "1.1 1.2 1.3 1.4 2.1 2.5",
    6: "1.1 1.2 1.3 2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8 2.9 2.10 2.11 2.12 3.1 3.2 3.3 3.4 3.5 3.6 3.7 "
    "3.8 4.1 4.2 4.3 4.4 4.6 5.1 5.2 5.3 5.4 5.5 5.6 5.8 6.2 6.3 7.1 7.2 8.1 8.2 8.4",
    7: "1.1 1.2 1.3 2.1 2.2 2.3 2.4 3.1 3.2 4.1 4.2 4.3 4.4 4.5 5.1 5.2 5.3 6.1 6.2",
    8: "1.1 1.2 2.1 2.2 2.3 3.1 3.2 4.1 4.2",
    9: "1.1 1.2 1.3 2.1 2.2 2.3 2.4",
    10: "1.1 1.2 2.1 2.2 2.3 3.1 3.2 3.3 3.4 4.1 4.2 4.3 4.4 4.5 4.6 4.7 4.8 4.9 4.10 4.11 4.12 "
    "4.13 4.14 4.15 4.16 5.1 5.2 5.3 5.4 5.5 6.1 6.2 7.1 7.2 7.3",
    11: "1.1 1.2 2.1 2.2 2.3 2.4 2.5 3.1 3.2 3.3 3.4 4.1 4.2 4.3 4.4 5.1 6.1",
    12: "1.1 1.2 2.1 2.2 3.1 3.2 3.3 3.4",
    13: "1.1 1.2 1.3 1.4 2.1 2.2 2.3 2.4 2.5 2.6 3.1 3.2 3.4 4.1 4.2 4.3 4.4 4.5 4.6",
    14: "1.1 1.2 2.1 2.2 2.3 2.4 2.6 2.7 3.1 3.2 3.3",
    15: "1.1 1.2 1.3 2.1 2.2 2.3 2.4 3.1 3.2 3.3 3.4 3.5 3.6 3.7 4.1 4.2 4.3 4.4",
    16: "1.1 2.1 2.2 2.3 2.4 2.5 3.1 3.2 3.3 3.4 4.1 4.2 4.3 5.1 5.2 5.3 5.4",
}
"""The requirements of ASVS 5.0 that apply to a service of this kind, by chapter."""

PROTOCOLS = [
    *("RFC 6749 §5.1", "RFC 6750 §3", "RFC 9110 §11.1", "RFC 9111 §3.5", "RFC 6585 §4"),
    *("RFC 9457", "RFC 8725 §3.1", "RFC 8725 §3.5", "RFC 8725 §3.8", "RFC 8725 §3.9"),
    *("RFC 8725 §3.10", "RFC 8725 §3.11", "RFC 8725 §3.12", "RFC 9068 §2", "RFC 7009 §2"),
    *("RFC 7662 §2", "RFC 8414 §3.3", "RFC 9207", "RFC 9700 §2.1", "RFC 9700 §2.1.1"),
    *("RFC 9700 §2.4", "RFC 9700 §4.8", "RFC 9700 §4.12", "RFC 9700 §4.14", "RFC 9700 §4.16"),
]
"""Further requirements of the protocols."""

ROW = re.compile(r"^\| (\d+\.\d+\.\d+|RFC \d+[^|]*?) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", re.M)

ROWS = {found[0]: found[1:] for found in ROW.findall(TEXT)}

TEST = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")

SECTION = re.compile(r"\]\(([\w./-]+\.md)#([\w-]+)\)")


def test_it_has_every_requirement_once_and_in_order() -> None:
    wanted = [f"{chapter}.{rest}" for chapter, ids in CHAPTERS.items() for rest in ids.split()]
    assert [found[0] for found in ROW.findall(TEXT)] == [*wanted, *PROTOCOLS]


def test_every_line_of_a_table_is_a_row() -> None:
    _, _, tables = TEXT.partition("\n## ")
    lines = [line for line in tables.splitlines() if line.startswith("|")]
    heads = [line for line in lines if line.startswith(("| id |", "|---|"))]
    assert len(lines) == len(ROWS) + len(heads)


@cache
def names_in(path: str) -> set[str]:
    """The tests of a file, those of classes as pytest writes them."""
    found = set()
    for node in ast.parse((config.ROOT / path).read_text(encoding="utf-8")).body:
        members = node.body if isinstance(node, ast.ClassDef) else [node]
        prefix = f"{node.name}::" if isinstance(node, ast.ClassDef) else ""
        functions = [member for member in members if isinstance(member, ast.FunctionDef)]
        found |= {f"{prefix}{f.name}" for f in functions if f.name.startswith("test_")}
    return found


@cache
def anchors_of(path: Path) -> set[str]:
    """The headings of a page as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_what_a_row_names_exists() -> None:
    for name, (_, _, shown) in ROWS.items():
        for path, test in TEST.findall(shown):
            assert test in names_in(path), (name, path, test)
        for page, anchor in SECTION.findall(shown):
            assert anchor in anchors_of((PAGE.parent / page).resolve()), (name, page, anchor)


def test_a_row_holds_what_its_status_needs() -> None:
    fewest_words = {"deviation": 8, "not applicable": 5, "later": 3}
    for name, (_, status, shown) in ROWS.items():
        assert status in {"met", *fewest_words}, name
        if status == "met":
            assert TEST.search(shown) or SECTION.search(shown), name
        else:
            words = SECTION.sub("", TEST.sub("", shown)).split()
            assert len(words) >= fewest_words[status], name


def test_nothing_else_looks_like_a_test() -> None:
    """Without it, a name in another notation would escape the check."""
    named = re.findall(r"tests/[\w/]*\.py", TEXT)
    assert len(named) == len(TEST.findall(TEXT))
    assert len(re.findall(r"\btest_\w+`", TEXT)) == len(named)
