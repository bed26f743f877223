"""The OpenAPI document describes requests and answers as recorded: clients are generated from it.

`pytest tests/contracts --record-answers` records the description anew.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from authserve.http.openapi_document import OPENAPI
from tests.contracts.records import written
from tests.support.operations import API_FEATURES

RECORD = Path(__file__).parent / "document.json"

WORDS = {"summary", "description", "example", "examples", "title"}
"""What explains the document to people; its wording may change."""

METHODS = {"get", "put", "post", "delete", "patch"}


def test_the_document_is_as_recorded(
    make_app: Callable[..., Flask], request: pytest.FixtureRequest
) -> None:
    with make_app(features=API_FEATURES).app_context():
        shape = shape_of(json.loads(OPENAPI.get().text))
    if request.config.getoption("record_answers"):
        RECORD.write_text(written(shape) + "\n")
    assert shape == json.loads(RECORD.read_text())


def shape_of(document: dict[str, Any]) -> dict[str, Any]:
    """Return what programs read of the document: the operations by id, and the schemas."""
    return {
        "operations": {
            operation["operationId"]: operation_shape(method, path, operation, item)
            for path, item in document["paths"].items()
            for method, operation in item.items()
            if method in METHODS
        },
        "schemas": wordless(document["components"]["schemas"], is_named=True),
    }


def operation_shape(
    method: str, path: str, operation: dict[str, Any], item: dict[str, Any]
) -> dict[str, Any]:
    """Return what programs read of an operation; its answers by status, each with its codes."""
    shape = {
        "call": f"{method.upper()} {path}",
        "security": operation.get("security"),
        "parameters": wordless([*item.get("parameters", []), *operation.get("parameters", [])]),
        "body": wordless(operation.get("requestBody")),
        "answers": {
            status: [*schemas_of(answer), *codes_of(answer), *sorted(answer.get("headers", {}))]
            for status, answer in operation["responses"].items()
        },
    }
    return {name: value for name, value in shape.items() if value}


def schemas_of(answer: dict[str, Any]) -> list[str]:
    """Return the media types and the schemas of an answer."""
    return [
        f"{media_type} {json.dumps(content.get('schema'))}"
        for media_type, content in answer.get("content", {}).items()
        if media_type != "application/problem+json"
    ]


def codes_of(answer: dict[str, Any]) -> list[str]:
    """Return the codes of the problems that an answer may be."""
    return list(answer.get("content", {}).get("application/problem+json", {}).get("examples", {}))


def wordless(value: Any, *, is_named: bool = False) -> Any:
    """Return a part of the document without words for people.

    Args:
        is_named: the members' names are those of schemas or properties, and none is a keyword.
    """
    if isinstance(value, list):
        return [wordless(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: wordless(inner, is_named=name == "properties" and not is_named)
        for name, inner in value.items()
        if is_named or name not in WORDS
    }
