"""Rules whose URLs are compiled at the first use."""

from typing import Any

import pytest
from flask import Flask
from werkzeug.routing import BuildError, Map, Rule

from authserve.http.url_rules import LazyRule


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Note each builder that Werkzeug compiles."""
    calls: list[bool] = []
    original = Rule._compile_builder

    def compile_builder(self: Rule, append_unknown: bool = True) -> Any:
        calls.append(append_unknown)
        return original(self, append_unknown)

    monkeypatch.setattr(Rule, "_compile_builder", compile_builder)
    return calls


def test_it_compiles_no_url_before_its_first_use(compiled: list[bool]) -> None:
    rules = Map([LazyRule("/users/<user_id>", endpoint="user")]).bind("example.com")

    assert rules.match("/users/7") == ("user", {"user_id": "7"})
    assert compiled == []

    assert rules.build("user", {"user_id": "8"}) == "/users/8"
    assert rules.build("user", {"user_id": "9"}) == "/users/9"
    assert compiled == [True]


@pytest.mark.parametrize("append_unknown", [True, False])
@pytest.mark.parametrize(
    "values",
    [{}, {"name": "a b/ü"}, {"name": "x", "page": 2}, {"name": "x", "rule": ["a&", "b"]}],
)
def test_it_builds_the_urls_of_werkzeugs_rule(values: dict[str, Any], append_unknown: bool) -> None:
    lazy, eager = (_build(kind, values, append_unknown) for kind in (LazyRule, Rule))

    assert lazy == eager


def _build(kind: type[Rule], values: dict[str, Any], append_unknown: bool) -> str | None:
    rules = Map([kind("/ü/<name>/p/<int:page>", endpoint="page", defaults={"page": 1})])
    try:
        return rules.bind("example.com").build("page", values, append_unknown=append_unknown)
    except BuildError:
        return None


def test_every_call_has_a_lazy_rule(app: Flask) -> None:
    assert {type(rule) for rule in app.url_map.iter_rules()} == {LazyRule}
