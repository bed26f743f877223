"""Rules of the house that a machine can check by reading."""

import ast
from collections.abc import Iterator

import pytest

from tests.architecture.sources import PACKAGE, at, functions, parse, source_files, walk

OURS = ("authserve", "config", "wsgi")

CLOCK = PACKAGE / "core" / "clock.py"


def imported(node: ast.AST) -> list[str]:
    """The modules that a statement imports, by the first part of their names."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        return ["authserve" if node.level else (node.module or "").partition(".")[0]]
    return []


def lazy_imports(tree: ast.AST) -> Iterator[ast.AST]:
    for function in functions(tree):
        for node in ast.walk(function):
            if any(name in OURS for name in imported(node)):
                yield node


WITH_COMMANDS = PACKAGE / "app.py"
"""The file that imports the `flask` commands only where they are needed."""


def test_no_import_of_ours_is_lazy() -> None:
    """It would hide that a module at the bottom needs one at the top until it runs."""
    others = (path for path in source_files() if path != WITH_COMMANDS)
    assert [at(path, node) for path in others for node in lazy_imports(parse(path))] == []


TIMES_OF_DAY = {
    "datetime": {"now", "utcnow", "today"},
    "date": {"today"},
    "time": {"time", "time_ns", "localtime", "gmtime", "ctime", "strftime"},
    "func": {"now", "current_timestamp", "localtimestamp", "clock_timestamp"},
}
"""By the name that they are looked up on, as modules or classes; `func` is the database's clock."""


def reads_of_the_time(tree: ast.AST) -> Iterator[ast.AST]:
    for node in walk(tree):
        if isinstance(node, ast.Attribute):
            owner = node.value
            name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
            if node.attr in TIMES_OF_DAY.get(name, ()):
                yield node
        if isinstance(node, ast.ImportFrom) and node.module == "time":
            yield from (alias for alias in node.names if alias.name in TIMES_OF_DAY["time"])


def test_time_comes_from_the_clock_alone() -> None:
    found = [
        at(path, node)
        for path in source_files()
        if path != CLOCK
        for node in reads_of_the_time(parse(path))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "datetime.now(UTC)",
        "datetime.datetime.now()",
        "datetime.utcnow()",
        "date.today()",
        "time.time()",
        "default=datetime.now",
        "from time import time",
        "func.now()",
    ],
)
def test_every_way_to_read_the_time_is_known(source: str) -> None:
    tree = ast.parse(source if source.startswith("from") else f"x({source})")
    assert list(reads_of_the_time(tree))


def test_the_clock_does_read_it() -> None:
    assert list(reads_of_the_time(parse(CLOCK)))


def test_nothing_is_printed_that_should_be_logged() -> None:
    found = [
        at(path, node)
        for path in source_files()
        for node in walk(parse(path))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in {"print", "breakpoint"}
    ]
    assert found == []


def test_classes_of_values_are_made_by_frozen() -> None:
    """`@frozen()` of `core/frozen.py` takes a quarter of the time of `dataclass(frozen=True)`."""
    found = [
        at(path, node.value)
        for path in source_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.keyword) and node.arg == "frozen"
    ]
    assert found == []


def test_every_file_states_its_purpose() -> None:
    found = [at(path, parse(path)) for path in source_files() if not ast.get_docstring(parse(path))]
    assert found == []


def test_each_pattern_of_input_says_in_words_what_it_takes() -> None:
    """marshmallow's own words are "String does not match expected pattern."."""
    calls = [
        (path, node)
        for path in source_files()
        for node in ast.walk(parse(path))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in {"validate.Regexp", "matches_pattern"}
    ]
    assert len(calls) > 5
    assert [at(path, call) for path, call in calls if not has_words(call)] == []


def has_words(call: ast.Call) -> bool:
    """True if a call gives its own words for a value that is refused."""
    return any(keyword.arg == "error" for keyword in call.keywords)
