"""One function decides which roles have effect: for permissions and for tokens alike."""

import ast
from collections.abc import Iterator

from tests.architecture.sources import PACKAGE, at, functions, parse, source_files, walk

GIVES_RIGHTS = {"roles", "permissions", "holds_everything", "sleeping_permissions"}
"""Arguments of an `Actor` by which it may do something."""

SOURCES = (PACKAGE / "auth" / "queries.py", PACKAGE / "auth" / "session_writes.py")
"""The only modules that make an actor with rights, or the roles of a token."""


def calls_of(name: str, tree: ast.AST) -> Iterator[ast.Call]:
    """Every call of a function or a class by its own name."""
    for node in walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


def test_only_the_token_check_gives_an_actor_rights() -> None:
    found = [
        at(path, call)
        for path in source_files()
        for call in calls_of("Actor", parse(path))
        if GIVES_RIGHTS & {keyword.arg for keyword in call.keywords}
    ]
    # A machine has no roles; it has the scopes of its client.
    modules = ("auth/queries.py", "core/actor.py", "oidc/api_callers.py")
    assert [place.partition(":")[0] for place in sorted(found)] == [
        f"authserve/{module}" for module in modules
    ]


def test_the_roles_of_an_actor_and_of_a_token_are_effective_ones() -> None:
    """Those of actors come from `roles_at_level`, those of started sessions from `_roles`."""
    users = {
        function.name
        for path in source_files()
        for function in functions(parse(path))
        if any(calls_of("effective_roles", function))
    }
    assert users == {"roles_at_level", "_roles"}
    made = [call for path in source_files() for call in calls_of("LiveSession", parse(path))]
    roles = [
        ast.unparse(keyword.value)
        for call in made
        for keyword in call.keywords
        if keyword.arg == "roles"
    ]
    assert sorted(roles) == ["_roles(row, found.level)", "_roles(row, level)", "self.actor.roles"]
    of_sources = [call for path in SOURCES for call in calls_of("LiveSession", parse(path))]
    assert len(made) == len(of_sources) == len(roles)


def test_no_module_of_sessions_and_tokens_reads_roles_another_way() -> None:
    """`rbac.assignment` reads all roles of users, also those that have no effect."""
    readers = [
        at(path, node)
        for package in ("auth", "http", "mfa", "sessions", "tokens")
        for path in sorted((PACKAGE / package).rglob("*.py"))
        for node in walk(parse(path))
        if isinstance(node, ast.alias) and node.name in ("roles_of", "roles_of_many")
    ]
    assert readers == []
