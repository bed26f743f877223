"""ARCHITECTURE.md and CONTRIBUTING.md name only files, functions and targets that exist."""

import ast
import configparser
import re
from functools import cache
from pathlib import Path

import pytest

import config

PAGES = ("ARCHITECTURE.md", "CONTRIBUTING.md")

ROOTS = (config.ROOT, config.ROOT / "authserve")
"""Folders that the pages' paths may start from, as the pages explain."""

PATH = re.compile(r"(?P<path>[\w.<>-]*(?:/[\w.<>-]+)*/?)(?:::(?P<name>\w+(?:\.\w+)*))?")
FILE_ENDINGS = (".py", ".md", ".cfg", ".txt", ".html", ".json", ".toml", ".in", ".example")
CALL = re.compile(r"(\w+)\(.*\)")
FENCE = re.compile(r"^```\w*\n.*?^```$", re.DOTALL | re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES)


def text_of(page: str) -> str:
    return (config.ROOT / page).read_text(encoding="utf-8")


def spans(text: str) -> list[str]:
    """Everything in single backticks, outside of blocks of code."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", text))


def paths_in(page: str) -> list[tuple[str, str | None]]:
    """Each path that a page names, with the name after `::` if there is one."""
    matches = [PATH.fullmatch(span) for span in spans(text_of(page))]
    return [(m["path"], m["name"]) for m in matches if m is not None and is_path(m["path"])]


def is_path(text: str) -> bool:
    return not text.startswith("/") and ("/" in text or text.endswith(FILE_ENDINGS))


def find(path: str) -> list[Path]:
    """Return the files or folders that a path names; a placeholder in it matches any text."""
    pattern = re.sub(r"<\w+>", "*", path).rstrip("/")
    found = [match for root in ROOTS for match in root.glob(pattern)]
    if "/" not in path:
        # A role, such as `routes.py`, that many packages have.
        found += (config.ROOT / "authserve").glob(f"*/{pattern}")
    return [match for match in found if match.is_dir() or not path.endswith("/")]


@cache
def names_in(path: Path) -> frozenset[str]:
    """Every function, class, method and constant that a file defines, methods as `Class.name`."""
    found: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        found.update(defined_by(node))
        if isinstance(node, ast.ClassDef):
            found.update(f"{node.name}.{name}" for part in node.body for name in defined_by(part))
    return frozenset(found)


def defined_by(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return [node.target.id]
    return []


@cache
def defined_anywhere() -> frozenset[str]:
    """The last part of every name that a file of the service defines."""
    files = (config.ROOT / "authserve").rglob("*.py")
    return frozenset(name.rpartition(".")[2] for file in files for name in names_in(file))


@each_page
def test_every_path_exists(page: str) -> None:
    paths = [path for path, _ in paths_in(page)]
    assert len(paths) > 50
    assert [path for path in paths if not find(path)] == []


@each_page
def test_every_module_exists(page: str) -> None:
    named = re.findall(r"\b((?:authserve|bench|tests)(?:\.[a-z_]\w*)+)\b(?!/)", text_of(page))
    paths = {name: name.replace(".", "/") for name in named}
    assert [name for name, path in paths.items() if not (find(path) or find(f"{path}.py"))] == []


@each_page
def test_every_name_is_defined_in_its_file(page: str) -> None:
    named = [(path, name) for path, name in paths_in(page) if name is not None]
    assert len(named) > 10
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not any(name in names_in(file) for file in find(path))
    ]
    assert missing == []


@each_page
def test_every_function_without_a_file_is_defined_somewhere(page: str) -> None:
    matches = [CALL.fullmatch(span) for span in spans(text_of(page))]
    names = {match[1] for match in matches if match is not None}
    assert names
    assert names - defined_anywhere() == set()


@each_page
def test_every_class_constant_and_setting_exists(page: str) -> None:
    named = {span for span in spans(text_of(page)) if re.fullmatch(r"[A-Z][A-Za-z_]{3,}", span)}
    assert named
    variables = set(re.findall(r"^([A-Z_]+) \?=", text_of("Makefile"), re.MULTILINE))
    files = {path.name for path in config.ROOT.iterdir()}
    assert named - defined_anywhere() - config.SETTINGS.keys() - variables - files == set()


@each_page
def test_every_make_target_exists(page: str) -> None:
    makefile = text_of("Makefile")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    named = set(re.findall(r"(?:`|^)make ([a-z-]+)", text_of(page), re.MULTILINE))
    assert named
    assert named - targets == set()


@each_page
def test_every_link_leads_to_a_file(page: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text_of(page))
    assert links
    assert [link for link in links if not (config.ROOT / link).is_file()] == []


def test_the_layers_are_those_of_the_contract() -> None:
    parser = configparser.ConfigParser()
    parser.read(config.ROOT / "setup.cfg")
    lines = parser["importlinter:contract:packages"]["layers"].split("\n")
    contract = [
        {name for name in re.split(r"[\s|]+", line) if name and not name.startswith("(")}
        for line in lines
    ]
    section = text_of("ARCHITECTURE.md").partition("\n## The layers\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.+?) \|", section, re.MULTILINE)
    told = [set(re.findall(r"`(\w+)`", row)) for row in rows]
    assert told == [layer for layer in contract if layer]
