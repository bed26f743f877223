"""Calls that the service's code never makes: run, unpickle, interpolate, or predictable chance.

The source is checked, so the rules hold for paths that no other test runs.
"""

import ast
import importlib
import pkgutil
import re
import time
from collections.abc import Callable, Iterator

import pytest

import authserve
from tests.architecture.sources import PACKAGE, ROOT, at, parse, source_files, walk

SQL_MAKERS = {"text", "exec_driver_sql", "literal_column", "DDL"}

LOGGERS = {"debug", "info", "warning", "error", "exception", "critical", "log"}

PATTERN_TAKERS = {
    *("compile", "match", "fullmatch", "search", "findall", "finditer", "split", "sub", "subn"),
}


def calls(tree: ast.AST) -> Iterator[tuple[str, str, ast.Call]]:
    """Every call, with the name that is called and the name that it is looked up on."""
    for node in walk(tree):
        if isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Attribute):
                owner = function.value
                name = owner.id if isinstance(owner, ast.Name) else getattr(owner, "attr", "")
                yield function.attr, name, node
            elif isinstance(function, ast.Name):
                yield function.id, "", node


def is_fixed(node: ast.AST) -> bool:
    """Return True if a value is a literal, a constant, or made of these alone."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.Name | ast.Attribute):
        name = node.id if isinstance(node, ast.Name) else node.attr
        return name.strip("_").isupper()
    if isinstance(node, ast.BinOp):
        return is_fixed(node.left) and is_fixed(node.right)
    if isinstance(node, ast.JoinedStr):
        return all(is_fixed(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return is_fixed(node.value)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return is_fixed(node.func.value) and all(map(is_fixed, node.args))
    return False


def unsafe_sql(tree: ast.AST) -> Iterator[ast.AST]:
    for name, _, call in calls(tree):
        if name in SQL_MAKERS and call.args and not is_fixed(call.args[0]):
            yield call
        if name == "execute" and call.args:
            statement = call.args[0]
            if isinstance(statement, ast.JoinedStr | ast.BinOp) and not is_fixed(statement):
                yield call


def unsafe_patterns(tree: ast.AST) -> Iterator[ast.AST]:
    for name, owner, call in calls(tree):
        if owner == "re" and name in PATTERN_TAKERS and not is_fixed(call.args[0]):
            yield call


def unsafe_formats(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield format strings that are no constants: their author chooses which values fill them."""
    for name, owner, call in calls(tree):
        is_method = name in ("format", "format_map") and isinstance(call.func, ast.Attribute)
        if is_method and not is_fixed(call.func.value):
            yield call
        is_logging = name in LOGGERS and owner in ("logger", "_log", "access_logger", "logging")
        if is_logging and call.args and not is_fixed(call.args[1 if name == "log" else 0]):
            yield call


RUNNERS = {"eval", "exec", "compile_command", "system", "popen", "from_string"}
RUNNERS |= {"render_template_string", "execv", "execve", "execvp", "spawnv", "spawnlp"}

REVIVERS = {"subprocess", "pickle", "cPickle", "marshal", "shelve", "dill", "yaml", "jsonpickle"}
REVIVERS |= {"xmlrpc", "code", "pty", "ctypes"}


def runs_or_revives(tree: ast.AST) -> Iterator[ast.AST]:
    yield from (call for name, _, call in calls(tree) if name in RUNNERS)
    yield from (node for name, node in imports(tree) if name.partition(".")[0] in REVIVERS)


def redirects(tree: ast.AST) -> Iterator[ast.AST]:
    for node in walk(tree):
        if isinstance(node, ast.Name | ast.alias):
            name = node.id if isinstance(node, ast.Name) else node.name
            if name in ("redirect", "url_for"):
                yield node
        if isinstance(node, ast.Constant) and node.value == "Location":
            yield node


def imports(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    for node in walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module or "", node


Finder = Callable[[ast.AST], Iterator[ast.AST]]

CASES: list[tuple[Finder, list[str]]] = [
    (unsafe_sql, ["text(f'a {b}')", "text('a' + b)", "s.execute(f'{a}')", "c.exec_driver_sql(q)"]),
    (unsafe_patterns, ["re.compile(a)", "re.sub(f'{a}', '', 'x')", "re.search('a' + b, c)"]),
    (unsafe_formats, ["a.format(1)", "logger.info(f'{a}')", "logger.log(1, a)", "_log.error(a)"]),
    (runs_or_revives, ["eval(a)", "os.system(a)", "import pickle", "from yaml import load"]),
    (redirects, ["redirect('/')", "headers['Location']", "from flask import redirect"]),
]


KNOWN = {
    # The text that SQLAlchemy compiled from a statement of a module, with places for the values.
    unsafe_sql: {"authserve/database/statements.py"},
    # Constants of the module, gone through in a loop.
    unsafe_patterns: {"authserve/passwords/foreign_hashes/model.py"},
    # One parameter of the C library's allocator, a constant; names of the fields of classes, from
    # which `dataclass` itself makes the same function.
    runs_or_revives: {"authserve/core/frozen.py", "authserve/serving/memory.py"},
    # To a constant of the module, to an app's registered address, to a page of a closed list, to
    # the same path under PUBLIC_URL, to authorize, and to pages by the names of their endpoints.
    # Every other page calls `see_other`, which takes paths of this service alone.
    redirects: {
        "authserve/forwardauth/routes.py",
        "authserve/http/root.py",
        "authserve/pages/blueprint.py",
        "authserve/verification/routes.py",
        "authserve/web/continuation.py",
        "authserve/web/origin.py",
        "authserve/web/rendering.py",
    },
    # A record of `logging` becoming a line, not a format string; a job's name for its trouble; the
    # remedy of an error; sentences of a closed table, filled with values of the sign-in status.
    unsafe_formats: {
        "authserve/admin/cli_sign_in.py",
        "authserve/core/logs.py",
        "authserve/keys/statements.py",
        "authserve/mfa/totp.py",
        "authserve/outbox/worker.py",
    },
}
"""Places without a danger; each was reviewed."""


@pytest.mark.parametrize("find", [find for find, _ in CASES], ids=lambda find: find.__name__)
def test_no_code_of_the_service_does_it(find: Finder) -> None:
    found = {str(path.relative_to(ROOT)) for path in source_files() if any(find(parse(path)))}
    assert found == KNOWN.get(find, set())


@pytest.mark.parametrize(
    ("find", "source"), [(find, source) for find, sources in CASES for source in sources]
)
def test_it_would_be_found(find: Finder, source: str) -> None:
    assert list(find(ast.parse(source)))


def importers(*names: str) -> set[str]:
    """The files that import one of these modules."""
    return {
        str(path.relative_to(PACKAGE))
        for path in source_files()
        if path.is_relative_to(PACKAGE)
        for name, _ in imports(parse(path))
        if name.partition(".")[0] in names
    }


def test_chance_that_can_be_guessed_only_spreads_retries() -> None:
    """Every unpredictable value comes from `secrets` (ASVS 11.5.1)."""
    assert importers("random") == {"http/errors.py", "outbox/policy.py"}
    assert importers("secrets") == {"core/crypto.py", "settings/secret_files.py"}


def test_one_module_sends_requests() -> None:
    """It follows no redirect and checks addresses; `flask health` asks this machine's service."""
    senders = {
        str(path.relative_to(PACKAGE))
        for path in source_files()
        if path.is_relative_to(PACKAGE)
        for name, _ in imports(parse(path))
        if name.startswith(("http.client", "urllib3", "requests"))
    }
    assert senders == {"core/outbound.py", "health/cli.py"}


def test_digests_and_macs_are_made_in_known_places() -> None:
    """The second names a password in a public list; the codecs verify imported hashes alone.

    Mail servers may ask for CRAM-MD5 (RFC 2195), which TLS or the loopback protects.
    """
    codecs = "passwords/foreign_hashes/"
    assert {name for name in importers("hashlib") if not name.startswith(codecs)} == {
        "core/crypto.py",
        "passwords/breached.py",
    }
    assert {name for name in importers("hmac") if not name.startswith(codecs)} == {
        "core/crypto.py",
        "mail/smtp.py",
    }
    sources = {path: path.read_text(encoding="utf-8") for path in source_files()}
    weak = {path.name for path, source in sources.items() if re.search(r"md5\(|sha1\(", source)}
    assert weak == {"breached.py"}


SECRET_BYTES = re.compile(r"digest|mac|token|secret|head$")


def test_secrets_are_compared_in_constant_time() -> None:
    """No operator compares a digest or a secret; SQL compares them by an index."""
    found = []
    for path in source_files():
        for node in walk(parse(path)):
            if isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Eq | ast.NotEq):
                names = [
                    side.attr if isinstance(side, ast.Attribute) else getattr(side, "id", "")
                    for side in (node.left, *node.comparators)
                ]
                if all(SECRET_BYTES.search(name) for name in names):
                    found.append(at(path, node))
    assert found == []


def patterns() -> Iterator[tuple[str, re.Pattern[str]]]:
    """Every regular expression that a module of the service keeps for what callers send."""
    for module in pkgutil.walk_packages(authserve.__path__, "authserve."):
        if module.name.startswith("authserve.settings."):
            continue  # What operators write is theirs to wait for.
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
                yield f"{module.name}.{name}", value


SEEDS = [
    "a",
    "a.",
    "a-",
    "1",
    " ",
    "@",
    "a@a.",
    ",",
    ", a ",
    "%",
    "/",
    ".-",
    "é",
    "\t ",
    "::",
    "$2$",
]


def test_no_pattern_can_be_made_to_run_for_long() -> None:
    """A pattern that backtracks without bound would take minutes with these (ASVS 1.3.12)."""
    found = dict(patterns())
    assert len(found) > 10
    for name, pattern in found.items():
        began_at = time.process_time()
        for seed in SEEDS:
            for text in (seed * 1_500, f"{seed * 1_500}\x00", f"\x00{seed * 1_500}x"):
                pattern.search(text)
                pattern.fullmatch(text)
        assert time.process_time() - began_at < 5, name
