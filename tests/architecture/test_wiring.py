"""Completeness of the lists of events, errors and permissions."""

import ast
import pkgutil
import re
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import TypeVar

import pytest
from flask import Flask

import authserve
from authserve.app import SUBSCRIBERS
from authserve.audit.record import record
from authserve.core.errors import AuthserveError
from authserve.core.events import AuditAction
from authserve.http.errors import status_of
from authserve.outbox.worker import PURGE_TASKS
from authserve.rbac.assignment import keep_an_admin
from tests.architecture.sources import ROOT, functions, parse, source_files, walk
from tests.support.operations import API_FEATURES

T = TypeVar("T")


def subclasses(parent: type[T]) -> Iterator[type[T]]:
    for child in parent.__subclasses__():
        yield child
        yield from subclasses(child)


def all_subclasses(parent: type[T]) -> list[type[T]]:
    """Every class of the service below `parent`, whether or not anything imports it yet."""
    for module in pkgutil.walk_packages(authserve.__path__, "authserve."):
        import_module(module.name)
    found = (child for child in subclasses(parent) if child.__module__.startswith("authserve."))
    return sorted(set(found), key=lambda child: (child.__module__, child.__name__))


ERRORS = all_subclasses(AuthserveError)
CODED = [error for error in ERRORS if "code" in vars(error)]


def test_every_action_is_emitted() -> None:
    """Each is an argument of a call: of `emit`, or of a function that passes it on to `emit`."""
    nodes = [node for path in source_files() for node in walk(parse(path))]
    arguments = {
        argument.attr
        for node in nodes
        if isinstance(node, ast.Call)
        for argument in [*node.args, *(keyword.value for keyword in node.keywords)]
        if isinstance(argument, ast.Attribute)
    }
    assert [action.name for action in AuditAction if action.name not in arguments] == []


def test_every_event_is_recorded_after_the_handlers_that_may_refuse_it() -> None:
    handlers = [handler for _, handler in SUBSCRIBERS]
    assert (frozenset(AuditAction), record) in SUBSCRIBERS
    assert handlers.index(keep_an_admin) < handlers.index(record)


def test_every_purge_is_a_task_of_the_worker(make_app: Callable[..., Flask]) -> None:
    """A purge that no worker runs would keep rows, some with personal data, for good."""
    defined = {
        (".".join(path.relative_to(ROOT).with_suffix("").parts), function.name)
        for path in source_files()
        for function in functions(parse(path))
        if function.name.startswith("purge_")
    }
    tasks = PURGE_TASKS.of(make_app(features=API_FEATURES))
    assert {(task.__module__, task.__name__) for task in tasks} == defined


def test_every_subscription_is_to_actions_of_the_list() -> None:
    for actions, handler in SUBSCRIBERS:
        assert actions, handler
        assert set(actions) <= set(AuditAction)


def test_every_action_has_the_form_of_a_name() -> None:
    for action in AuditAction:
        assert re.fullmatch(r"[a-z_]+\.[a-z_]+", action)
        assert action.name == action.value.replace(".", "_").upper()


@pytest.mark.parametrize("error", CODED, ids=lambda error: error.__name__)
def test_an_error_has_a_name_a_sentence_and_a_status(error: type[AuthserveError]) -> None:
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert error.default_detail[0].isupper()
    assert error.default_detail.endswith(".")
    assert 400 <= status_of(error) < 600
    assert error.__name__.endswith("Error")


def test_every_code_belongs_to_one_error_of_each_status() -> None:
    """Codes are public: one is never used for a second fact.

    The same fact can have one status during a sign-in and another one in a session.
    """
    codes = Counter((error.code, status_of(error)) for error in CODED)
    assert [code for code, count in codes.items() if count > 1] == []


def test_an_error_without_a_code_is_a_kind_of_others() -> None:
    uncoded = [error for error in ERRORS if not hasattr(error, "code")]
    assert [error for error in uncoded if not error.__subclasses__()] == []
