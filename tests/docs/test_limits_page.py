"""docs/limits.md has every limit, its numbers, and the calls that it counts."""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from datetime import timedelta

import pytest
from flask import Flask

import config
from authserve.audit.schemas import ClientAddressSchema
from authserve.http.openapi import API_PREFIX, facts_of
from authserve.ratelimit.policy import LIMITS
from tests.support.operations import API_FEATURES

PAGE = (config.ROOT / "docs" / "limits.md").read_text(encoding="utf-8")

ROW = re.compile(r"^\| `(\w+)` \| (.+) \| (\d+) in (\d+) (min|h) \| ([\w ]+) \|$", re.MULTILINE)

UNITS = {"min": timedelta(minutes=1), "h": timedelta(hours=1)}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every call."""
    return make_app(features=API_FEATURES)


def test_it_has_every_limit_in_order_with_its_numbers() -> None:
    told = [
        (name, int(amount), int(number) * UNITS[unit], by)
        for name, _, amount, number, unit, by in ROW.findall(PAGE)
    ]
    assert told == [(limit.name, limit.amount, limit.window, limit.by) for limit in LIMITS]


def test_it_has_every_call_of_each(app: Flask) -> None:
    calls = defaultdict(set)
    for rule in app.url_map.iter_rules():
        for limit in facts_of(app.view_functions[rule.endpoint]).limits:
            (method,) = (rule.methods or set()) - {"OPTIONS", "HEAD"}
            path = f"/{rule.rule.removeprefix(API_PREFIX)}".replace("<uuid:", "{").replace(">", "}")
            calls[limit.name].add(f"{method} {path}")
    told = {name: set(cell.replace("`", "").split(", ")) for name, cell, *_ in ROW.findall(PAGE)}
    assert told == calls


def test_reading_has_none_but_the_export(app: Flask) -> None:
    for rule in app.url_map.iter_rules():
        if "GET" in (rule.methods or ()) and not rule.rule.endswith("/me/export"):
            assert facts_of(app.view_functions[rule.endpoint]).limits == ()


def test_its_example_of_a_client_address_has_every_field() -> None:
    (example,) = map(json.loads, re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL))
    assert example.keys() == ClientAddressSchema().fields.keys()
    assert not ClientAddressSchema().validate(example)
