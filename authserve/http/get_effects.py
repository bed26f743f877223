"""Views whose GET changes something, because a browser brings an answer or a wish in its address.

Flask answers HEAD by the view of GET too. A HEAD of a program that looks at an address would so
spend a code or end a session (RFC 9110 §9.2.1: HEAD is safe). It is small because the features that
have such views share nothing else.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from flask import Flask

P = ParamSpec("P")
T = TypeVar("T")

_MARK = "changes_on_get"


def changes_on_get(view: Callable[P, T]) -> Callable[P, T]:
    """Mark a view that GET alone may reach, of the safe methods; `refuse_head` does the rest."""
    view.__dict__[_MARK] = True
    return view


def has_effect_on_get(view: Callable[..., object]) -> bool:
    """Return True if a view is marked by `changes_on_get`."""
    return _MARK in view.__dict__


def refuse_head(app: Flask) -> None:
    """Make the marked views of an application answer 405 to HEAD; call it after all are added."""
    for rule in app.url_map.iter_rules():
        if rule.methods is not None and has_effect_on_get(app.view_functions[rule.endpoint]):
            rule.methods.discard("HEAD")
