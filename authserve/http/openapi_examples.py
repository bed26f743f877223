"""Examples of bodies, built from the examples of their fields."""

from collections.abc import Iterator, Mapping
from typing import Any

from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID

Document = dict[str, Any]

BY_FORMAT = {"uuid": EXAMPLE_USER_ID, "date-time": EXAMPLE_TIME, "email": "alice@example.com"}

_MISSING = object()


def add_examples(document: Document) -> Document:
    """Add an example to every body of an OpenAPI document that has none.

    Returns:
        The document itself.
    """
    schemas = document.get("components", {}).get("schemas", {})
    for media in _media_of(document):
        if media.keys().isdisjoint({"example", "examples"}):
            media["example"] = example_of(media["schema"], schemas)
    return document


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """Return a value that fits a schema, as far as its fields' examples do.

    Args:
        schema: a schema in the form that apispec generates from marshmallow.
        schemas: the schemas of `#/components/schemas/`, by name.
    """
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    told = schema.get("example", next(iter(schema.get("enum", ())), _MISSING))
    if told is not _MISSING:
        return told
    if schema.get("format") in BY_FORMAT:
        return BY_FORMAT[schema["format"]]
    kinds = schema.get("type", "object")
    if "null" in kinds:
        return None
    return _example_of_kind(kinds, schema, schemas)


def _example_of_kind(kind: str, schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    if kind == "array":
        return [example_of(schema["items"], schemas)]
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: example_of(value, schemas) for name, value in properties.items()}
    return {"boolean": True, "integer": schema.get("minimum", 600)}.get(kind, "…")


def _media_of(document: Document) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        for operation in path.values():
            if isinstance(operation, dict):
                bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
                for body in bodies:
                    yield from body.get("content", {}).values()
