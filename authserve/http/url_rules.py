"""The matching of paths to calls, and the building of URLs."""

from collections.abc import Callable
from functools import cache
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]
"""A function that returns the host and the path of a URL with the given values."""


class LazyRule(Rule):
    """A rule that compiles the code of its URLs at the first use; most rules build none.

    Werkzeug compiles two functions for each rule when it is added, which takes 0.4 ms a rule and
    so four fifths of `create_app` (measured). The method that compiles them is internal to
    Werkzeug, which is pinned; a test fails if it moves.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Builder:
        """Return a function that compiles the builder before it calls it."""
        compile_builder = cache(super()._compile_builder)

        def build(rule: Rule, /, **values: Any) -> tuple[str, str]:
            return compile_builder(append_unknown)(rule, **values)

        return build


def set_up_url_rules(app: Flask) -> None:
    """Give each call exactly one path: no redirect accepts `//` or a trailing slash."""
    app.url_rule_class = LazyRule
    app.url_map.merge_slashes = False
    app.url_map.strict_slashes = True
    app.url_map.redirect_defaults = False
