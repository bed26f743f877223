"""The service's own source files, read but not run."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "authserve"


def source_files() -> list[Path]:
    """Every Python file that a running service executes, but for migrations."""
    return [*sorted(PACKAGE.rglob("*.py")), ROOT / "config.py", ROOT / "wsgi.py"]


@cache
def parse(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def walk(tree: ast.AST) -> list[ast.AST]:
    """Return every node of a tree, from a list that is made once."""
    return list(ast.walk(tree))


def at(path: Path, node: ast.AST) -> str:
    """Return the path and line of a node, in the form that editors open."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, wherever it is defined."""
    for node in walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node
