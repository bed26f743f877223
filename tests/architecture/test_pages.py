"""Rules of pages that a machine can check by reading."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from authserve.pages.app_routes import MODULES as APP_MODULES
from authserve.pages.key_routes import MODULES as KEY_MODULES
from authserve.pages.provider_routes import MODULES as PROVIDER_MODULES
from authserve.pages.routes import MODULES
from authserve.web.rendering import make_templates
from tests.architecture.sources import PACKAGE, at, functions, parse, walk
from tests.conftest import make_settings

PAGES, WEB = PACKAGE / "pages", PACKAGE / "web"

FEATURES = {"admin", "apikeys", "audit", "auth", "mfa", "oidc", "sessions", "users", "verification"}
"""Packages with use cases."""

OF_THE_BROWSER = {
    "sign_in_browser",
    "verify_second_step_of_browser",
    "enroll_browser",
    "sign_in_browser_with_passkey",
    "sign_in_browser_with_email_code",
    "sign_in_browser_with_provider",
    "find_open_sign_in",
    "describe_set_up",
    "sign_browser_out",
    "reauthenticate_browser",
    "change_password_in_browser",
    "find_ways_to_reauthenticate",
    "find_pending_email_change",
    "find_own_device",
    "find_device_of",
    "confirm_totp_in_browser",
    "confirm_passkey_in_browser",
    "make_registration_options",
    "is_mailbox_proof_needed",
    "is_mfa_required",
    "need_of",
    "find_factors",
    "get_passkey",
    "get_credentials",
}
"""What a browser needs in place of tokens and refusals; the API has each of them, too."""


OF_PAGES_ALONE = {
    # A program consents to nothing.
    "review",
    "give_consent",
    "refuse_consent",
    # No program is asked whose a sign-in was.
    "find_new_sign_in",
    "answer_new_sign_in",
    # Reads for which the API has longer ways: see each.
    "find_activity",
    "find_factors",
    # The list of sessions shows the browser's own always, and those of apps by their names.
    "find_own_sessions",
    "find_app_sessions",
    "find_client_names",
}
"""What pages call and no route of the API does."""


TWINS = {"sign_in_browser": "login", "return_with_address": "register"}
"""What the API has by another name than the page's without `browser`."""

OF_A_CHALLENGE = {
    ("account_confirm", "_show"),
    ("second_step", "_options"),
    ("set_up", "_choose"),
    ("sign_in", "_passkey_options"),
}
"""Functions of pages that write a passkey's challenge into a page, which is only read."""


def used_names(path: Path) -> set[str]:
    """Names of functions that a module imports from packages with use cases."""
    return {
        alias.name
        for node in walk(parse(path))
        if isinstance(node, ast.ImportFrom) and node.module
        for alias in node.names
        if node.module.split(".")[1:2]
        and node.module.split(".")[1] in FEATURES
        and not node.module.endswith((".errors", ".schemas", ".policy", ".answers"))
        and alias.name[0].islower()
    }


def test_pages_call_what_the_api_calls() -> None:
    by_api = {
        node.id
        for path in PACKAGE.rglob("*routes.py")
        if PAGES not in path.parents
        for node in walk(parse(path))
        if isinstance(node, ast.Name)
    }
    by_pages = {name for path in PAGES.glob("*.py") for name in used_names(path)}
    assert len(by_pages) > 8
    assert by_pages - by_api - OF_THE_BROWSER - OF_PAGES_ALONE == set()


def limits_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[str, ...]:
    """Names of the limits that a function's decorators count."""
    return tuple(
        ast.unparse(limit)
        for decorator in function.decorator_list
        if isinstance(decorator, ast.Call)
        and ast.unparse(decorator.func) in ("limited", "noting_limits")
        for limit in decorator.args
    )


def names_in(function: ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    """Names that the statements of a function use."""
    statements = ast.Module(body=function.body, type_ignores=[])
    return {node.id for node in ast.walk(statements) if isinstance(node, ast.Name)}


def find_limits_of_api() -> dict[str, tuple[str, ...]]:
    """Return the limits that the API's view of a use case counts, by the use case's name."""
    found = {}
    for path in PACKAGE.rglob("*routes.py"):
        by_name = {function.name: function for function in functions(parse(path))}
        for function in by_name.values():
            helpers = [by_name[name] for name in names_in(function) & by_name.keys()]
            if limits := limits_of(function):
                names = names_in(function).union(*map(names_in, helpers))
                found |= dict.fromkeys(names, limits)
    return found


def test_pages_have_the_limits_of_the_api() -> None:
    by_api, checked = find_limits_of_api(), 0
    for path in PAGES.glob("*.py"):
        use_cases = used_names(path) | TWINS.keys()
        for function in functions(parse(path)):
            for name in sorted(names_in(function) & use_cases):
                limits = by_api.get(
                    TWINS.get(name) or re.sub("_(of|in)_browser$|_browser", "", name)
                )
                if limits is None or (path.stem, function.name) in OF_A_CHALLENGE:
                    continue
                assert limits_of(function) == limits, f"{at(path, function)} calls {name}"
                checked += 1
    assert checked > 25


def test_every_module_of_pages_is_loaded() -> None:
    names = {
        module.__name__.rpartition(".")[2]
        for module in (*MODULES, *APP_MODULES, *KEY_MODULES, *PROVIDER_MODULES)
    }
    views = {path.stem for path in PAGES.glob("*.py")} - {
        "__init__",
        "account_navigation",
        "app_routes",
        "factor_changes",
        "passkey_providers",
        "blueprint",
        "event_texts",
        "checks",
        "factor_fields",
        "grant_fields",
        "key_routes",
        "provider_flow",
        "provider_link",
        "provider_refusals",
        "provider_routes",
        "provider_pending",
        "routes",
        "scope_texts",
        "sign_in_steps",
    }
    assert names == views


def routes_of(path: Path) -> Iterator[ast.expr]:
    """Yield what each route of a module that takes a body is added to."""
    for node in walk(parse(path)):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("post", "put", "patch", "delete", "route")
        ):
            yield node.func.value


def test_every_form_is_checked_for_its_origin() -> None:
    """A hook of each blueprint of pages checks every request to it."""
    for path in (*PAGES.glob("*.py"), *WEB.glob("*.py")):
        for owner in routes_of(path):
            assert path.parent == PAGES, path
            assert isinstance(owner, ast.Name), path
            assert owner.id in (
                "blueprint",
                "app_blueprint",
                "key_blueprint",
                "provider_blueprint",
            ), path
    assert sum(len(list(routes_of(path))) for path in PAGES.glob("*.py")) >= 10


TEMPLATES = sorted([*PAGES.glob("templates/*.html"), *WEB.glob("templates/*.html")])

_MARKUP = re.compile(
    r"\{#.*?#\}|\{%-?\s*trans.*?endtrans\s*-?%\}|\{%.*?%\}|\{\{.*?\}\}|<[^>]*>", re.DOTALL
)
_ATTRIBUTES = re.compile(r'aria-[\w-]+="[^"]*"|data-[\w-]+|autofocus|/[\w-]+')
"""Attributes and paths that stand alone in a block or a macro."""


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_text_can_be_translated(path: Path) -> None:
    left = _ATTRIBUTES.sub(" ", _MARKUP.sub(" ", path.read_text(encoding="utf-8")))
    assert re.findall(r"[A-Za-z]{2,}", left) == []


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_every_form_keeps_the_language_of_its_page(path: Path) -> None:
    actions = re.findall(
        r'action="(?!\{\{ (?:keep_language|link_to|url_for)\()[^"]*',
        path.read_text(encoding="utf-8"),
    )
    is_switch = path.name == "language_switch.html"
    assert actions == (['action="/language'] if is_switch else []), (
        'Write action="{{ keep_language(…) }}".'
    )


def test_every_template_compiles(tmp_path: Path) -> None:
    settings = make_settings("sqlite://", tmp_path)
    environment = make_templates(settings, ["authserve.pages", "authserve.web"])
    for path in TEMPLATES:
        environment.get_template(path.name)
