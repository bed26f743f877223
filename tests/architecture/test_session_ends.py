"""Sessions end by one statement, so that no app misses an end of which it has to learn."""

import ast
from collections.abc import Callable

from tests.architecture.sources import PACKAGE, parse

ENDING = {"sessions/ending.py: end_where", "sessions/ending.py: end_all_where"}

EXCEPTIONS = {
    "sessions/revoke.py: _END_OLDEST",
    "sessions/revoke.py: _END_OLDEST_OF_APP",
    "sessions/revoke.py: end_sessions_of_client",
}
"""The ends that the docstring of `sessions/ending.py` names."""


def find(is_it: Callable[[ast.AST], bool]) -> set[str]:
    """Return the files and top-level names of the service's code that has such a node."""
    return {
        f"{path.relative_to(PACKAGE)}: {name_of(statement)}"
        for path in PACKAGE.rglob("*.py")
        for statement in parse(path).body
        if any(map(is_it, ast.walk(statement)))
    }


def name_of(statement: ast.stmt) -> str:
    """Return the name that a statement of a module defines, or its text."""
    if isinstance(statement, ast.Assign):
        return ast.unparse(statement.targets[0])
    return str(getattr(statement, "name", ast.unparse(statement)))


def uses_revocation(node: ast.AST) -> bool:
    """Return True if a node names the statement; also by an attribute, or to rename it."""
    if isinstance(node, ast.alias):
        return node.name == "revocation" and node.asname is not None
    names = {getattr(node, "id", None), getattr(node, "attr", None)}
    return "revocation" in names


def writes_the_end(node: ast.AST) -> bool:
    """Return True if a node gives `revoked_at` a value."""
    if isinstance(node, ast.keyword):
        return node.arg == "revoked_at"
    if isinstance(node, ast.Dict):
        keys = [key for key in node.keys if key is not None]
        return any(
            "revoked_at" in (getattr(key, "value", None), getattr(key, "attr", None))
            for key in keys
        )
    is_stored = isinstance(getattr(node, "ctx", None), ast.Store)
    return is_stored and getattr(node, "attr", None) == "revoked_at"


def test_every_end_goes_by_the_listener_or_is_named() -> None:
    assert find(uses_revocation) == ENDING | EXCEPTIONS


def test_no_other_statement_ends_a_session() -> None:
    assert find(writes_the_end) == {"sessions/statements.py: revocation"}
