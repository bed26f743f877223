"""The service's operations, read from its OpenAPI document, new ones included."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from flask import Flask

from authserve.http.openapi_document import OPENAPI

API_FEATURES = ("oidc", "api-keys", "federation")
"""The features that add calls to the API, for tests of all of its calls."""


@dataclass(frozen=True)
class Operation:
    """One call.

    Args:
        body: the schema of its JSON body, with `properties`; None if it takes none.
        example: a body that it takes.
        query: the schemas of its query parameters.
        path_parameters: the schemas of its path's.
        security: what it asks for, as in the document.
    """

    method: str
    path: str
    body: dict[str, Any] | None
    example: dict[str, Any]
    query: dict[str, dict[str, Any]]
    path_parameters: dict[str, dict[str, Any]]
    security: list[dict[str, Any]]

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def fields(self) -> dict[str, dict[str, Any]]:
        """The schemas of its body's fields."""
        return (self.body or {}).get("properties", {})


def read_operations(app: Flask) -> list[Operation]:
    """Every operation of the document, in its order."""
    with app.app_context():
        document = json.loads(OPENAPI.get().text)
    return list(_read(document))


def _read(document: dict[str, Any]) -> Iterator[Operation]:
    schemas = document["components"]["schemas"]
    for path, item in document["paths"].items():
        shared = item.get("parameters", [])
        for method, told in item.items():
            if method == "parameters":
                continue
            media = told.get("requestBody", {}).get("content", {}).get("application/json", {})
            parameters = shared + told.get("parameters", [])
            reference = media.get("schema", {}).get("$ref", "")
            yield Operation(
                method=method.upper(),
                path=path,
                body=schemas[reference.rpartition("/")[2]] if reference else None,
                example=media.get("example", {}),
                query={p["name"]: p["schema"] for p in parameters if p["in"] == "query"},
                path_parameters={p["name"]: p["schema"] for p in parameters if p["in"] == "path"},
                security=told["security"],
            )
