"""The OpenAPI document; common errors and headers are added to what each view declares.

Examples of bodies are built from the examples of their fields.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from functools import cached_property
from http import HTTPStatus
from typing import Any

import flask_smorest
from apispec import BasePlugin
from flask import Flask

from authserve.core.container import Slot
from authserve.core.errors import (
    AuthserveError,
    MalformedRequestError,
    NotFoundError,
    PayloadTooLargeError,
    UnauthenticatedError,
    UnavailableError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)
from authserve.http.errors import INTERNAL_ERROR, PROBLEM_TYPE, status_of
from authserve.http.json_body import FORM_TYPE, JSON_TYPE
from authserve.http.openapi import ACCESS_TOKEN, API_PREFIX, REFRESH_TOKEN, CallFacts, facts_of
from authserve.http.schemas import EXAMPLE_TIME, EXAMPLE_USER_ID, ProblemSchema

STRICTNESS = (
    MalformedRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)
"""Errors that `middleware` can raise for every API call."""

STAND_ON_NOTHING = ("/", "/healthz")
"""Calls that depend on no other part of the service, so they never answer 503."""

RETRYABLE = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)
"""Statuses whose responses always have `Retry-After`."""

_EXAMPLE_CORRELATION_ID = "4f2b1c0de8a94f6d9b7a3e5c1d2f6a80"

_CHALLENGE = {
    "description": "A `Bearer` challenge (RFC 6750 §3, RFC 9470 §3).",
    "required": True,
    "schema": {"type": "string"},
}
_RATE_LIMITS = {
    "RateLimit-Limit": "How many calls a window allows.",
    "RateLimit-Remaining": "How many of them are left.",
    "RateLimit-Reset": "Seconds until the window ends.",
}
"""Headers of the limit with the fewest calls left; absent while limits are off."""

_RETRY_AFTER = {
    "description": "Whole seconds after which to try again.",
    "required": True,
    "schema": {"type": "integer", "minimum": 1},
}


class CallFactsPlugin(BasePlugin):
    """A plugin of apispec that documents what our decorators declare of a view.

    Args:
        views: by endpoint.
    """

    def __init__(self, views: Mapping[str, Any]) -> None:
        self._views = views

    def operation_helper(
        self, path: str | None = None, operations: dict[str, Any] | None = None, **kwargs: Any
    ) -> None:
        """Complete the operations of one path."""
        endpoint = kwargs["rule"].endpoint
        facts = facts_of(self._views[endpoint])
        for operation in (operations or {}).values():
            operation["operationId"] = endpoint.replace(".", "_")
            # By the specification, an operation without this inherits the document's own value.
            operation["security"] = list(facts.security)
            if facts.accepts_form:
                content = operation["requestBody"]["content"]
                content[FORM_TYPE] = deepcopy(content[JSON_TYPE])
            _add_refusals(operation["responses"], _refusals(path or "", facts))
            if facts.limits:
                _add_limits(operation["responses"])


def _refusals(path: str, facts: CallFacts) -> list[type[AuthserveError]]:
    refusals = list(facts.refusals)
    if path.startswith(API_PREFIX):
        refusals += STRICTNESS
    if "{" in path:
        refusals.append(NotFoundError)
    if path not in STAND_ON_NOTHING:
        refusals.append(UnavailableError)
    return list(dict.fromkeys(refusals))


def _add_refusals(responses: dict[str, Any], refusals: Iterable[type[AuthserveError]]) -> None:
    by_status: dict[HTTPStatus, list[type[AuthserveError]]] = defaultdict(list)
    for error in refusals:
        by_status[status_of(error)].append(error)
    # flask-smorest describes refused arguments by a mere name.
    for name in [name for name, response in responses.items() if isinstance(response, str)]:
        del responses[name]
    # A response that the view declares itself stays: readiness has its own form of 503.
    for status in sorted(by_status.keys() - {int(name) for name in responses}):
        errors = by_status[status]
        examples = {error.code: _example(status, error) for error in errors}
        responses[str(int(status))] = _response(status, examples, _headers(errors))
    for name, response in responses.items():
        if int(name) in RETRYABLE:
            response.setdefault("headers", {})["Retry-After"] = _RETRY_AFTER
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    code, detail = INTERNAL_ERROR
    responses[str(int(status))] = _response(status, {code: _problem(status, code, detail)}, {})


def _add_limits(responses: dict[str, Any]) -> None:
    """Document a limit's headers, on success and on status 429."""
    headers = {
        name: {"description": description, "schema": {"type": "integer", "minimum": 0}}
        for name, description in _RATE_LIMITS.items()
    }
    for status, response in responses.items():
        if int(status) < HTTPStatus.MULTIPLE_CHOICES or int(status) == HTTPStatus.TOO_MANY_REQUESTS:
            response.setdefault("headers", {}).update(headers)


def _response(
    status: HTTPStatus, examples: dict[str, Any], headers: dict[str, Any]
) -> dict[str, Any]:
    codes = ", ".join(f"`{code}`" for code in examples)
    schema = {"$ref": "#/components/schemas/Problem"}
    response = {
        "description": f"{status.phrase}: {codes}",
        "content": {PROBLEM_TYPE: {"schema": schema, "examples": examples}},
    }
    return response | ({"headers": headers} if headers else {})


def _example(status: HTTPStatus, error: type[AuthserveError]) -> dict[str, Any]:
    example = _problem(status, error.code, error.default_detail)
    example["value"].update(error.example_members)
    return example


def _problem(status: HTTPStatus, code: str, detail: str) -> dict[str, Any]:
    return {
        "summary": detail,
        "value": {
            "type": "about:blank",
            "title": status.phrase,
            "status": int(status),
            "code": code,
            "detail": detail,
            "correlation_id": _EXAMPLE_CORRELATION_ID,
        },
    }


def _headers(errors: Iterable[type[AuthserveError]]) -> dict[str, Any]:
    if all(issubclass(error, UnauthenticatedError) for error in errors):
        return {"WWW-Authenticate": _CHALLENGE}
    return {}


class OpenAPIDocument:
    """The OpenAPI document of an application.

    Args:
        blueprints: those that the document describes.
        version: of the service.
        server_url: the URL that the paths are relative to.
    """

    def __init__(
        self, blueprints: Sequence[flask_smorest.Blueprint], *, version: str, server_url: str
    ) -> None:
        self._blueprints = blueprints
        self._server_url = server_url
        self.version = version

    @cached_property
    def text(self) -> str:
        """The document as JSON.

        It is built at the first use, on an application that serves no requests: describing all
        calls takes longer than `create_app`, and most processes never get a request for it.
        """
        app = Flask(__name__)
        plugins = [CallFactsPlugin(app.view_functions)]
        api = _API(app, spec_kwargs={**self._options(), "extra_plugins": plugins})
        for name in (*ACCESS_TOKEN, *REFRESH_TOKEN):
            scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
            api.spec.components.security_scheme(name, scheme)
        for blueprint in self._blueprints:
            api.register_blueprint(blueprint)
        document = api.spec.to_dict()
        # flask-smorest adds the schema of a header that no list of ours has.
        del document["components"]["schemas"]["PaginationMetadata"]
        return json.dumps(add_examples(document), ensure_ascii=False)

    def _options(self) -> dict[str, Any]:
        return {
            "title": "authserve",
            "version": self.version,
            "openapi_version": "3.1.0",
            "info": {
                "description": "Sign-up, sign-in, tokens and accounts.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": self._server_url}],
        }


class _API(flask_smorest.Api):  # type: ignore[misc]
    """flask-smorest's description of calls, with problems as the only form of errors."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = ProblemSchema


OPENAPI = Slot[OpenAPIDocument]("openapi")


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
    example = schema.get("example", next(iter(schema.get("enum", ())), _MISSING))
    if example is not _MISSING:
        return example
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
