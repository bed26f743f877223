"""flask-smorest, adapted to the contract: strict arguments, and all errors in the document.

A view's decorators declare its arguments and its errors. The OpenAPI document is generated from
the same declarations, so it cannot differ from them.
"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any, NoReturn, TypeVar

import flask_smorest
import marshmallow
from flask import Request, g
from marshmallow import RAISE, Schema
from webargs.flaskparser import FlaskParser

from authserve.core.errors import AuthserveError, MalformedRequestError, ValidationFailedError
from authserve.http.json_body import FORM_TYPE, JSON_TYPE

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

API_PREFIX = "/api/v1/"

Requirement = Mapping[str, list[str]]

ACCESS_TOKEN: Requirement = {"accessToken": []}
REFRESH_TOKEN: Requirement = {"refreshToken": []}
NO_TOKEN: Requirement = {}
"""Security requirements of a call, as the document names them."""

REFUSALS = "x-refusals"
"""Key of an operation's error classes until `openapi_document` has described them."""


LIMITED = "x-limited"
"""Key of an operation's flag for rate limits, until `openapi_document` has described them."""


class StrictParser(FlaskParser):
    """A parser of arguments that uses the body read by `middleware` and refuses unknown fields."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": RAISE, "query": RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the body; refuse a request without one unless its schema makes it optional."""
        if g.json_body is not None:
            return g.json_body
        if getattr(schema, "is_body_optional", False):
            return {}
        raise MalformedRequestError("The call needs a JSON body.")

    def handle_error(
        self, error: marshmallow.ValidationError, *_args: Any, **_kwargs: Any
    ) -> NoReturn:
        """Raise ValidationFailedError with the fields' messages, without their location."""
        messages: dict[str, Any] = {}
        for by_field in error.messages_dict.values():
            messages.update(by_field if isinstance(by_field, Mapping) else {"body": by_field})
        raise ValidationFailedError(flatten(messages)) from error


def flatten(messages: Mapping[Any, Any], prefix: str = "") -> dict[str, list[str]]:
    """Return nested messages as flat ones: `{"roles": {0: ["..."]}}` as `{"roles.0": ["..."]}`."""
    flat: dict[str, list[str]] = {}
    for name, value in messages.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = [str(message) for message in value]
    return flat


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint with strict arguments that documents the errors of its calls."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(_prepare_facts)

    def arguments(self, schema: type[Schema] | Schema, **kwargs: Any) -> Any:
        """Parse arguments like flask-smorest, but build the schema once, not at each call."""
        return super().arguments(schema() if isinstance(schema, type) else schema, **kwargs)

    @staticmethod
    def refuses(*errors: type[AuthserveError]) -> Callable[[ViewT], ViewT]:
        """Document the errors that a view can raise; put it next to the view itself."""

        def decorator(view: ViewT) -> ViewT:
            facts = view.__dict__.setdefault("_apidoc", {})
            facts["refusals"] = (*facts.get("refusals", ()), *errors)
            return view

        return decorator

    @staticmethod
    def takes_form(view: ViewT) -> ViewT:
        """Let a view accept its body as a form, too; put it next to the view itself."""
        view.__dict__.setdefault("_apidoc", {})["accepts_form"] = True
        return view


def accepts_form(view: Any) -> bool:
    """Return True if a view accepts its body as a form, too."""
    return bool(getattr(view, "_apidoc", {}).get("accepts_form"))


def declares_query(view: Any) -> bool:
    """Return True if a view takes query parameters."""
    return _declares(view, "query")


def declares_body(view: Any) -> bool:
    """Return True if a view takes a JSON body."""
    return _declares(view, "json")


def _declares(view: Any, location: str) -> bool:
    arguments = getattr(view, "_apidoc", {}).get("arguments", {})
    return any(p.get("in") == location for p in arguments.get("parameters", ()))


def _prepare_facts(doc: dict[str, Any], facts: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Copy the decorators' declarations to the operation, for `openapi_document`."""
    doc[REFUSALS] = facts.get("refusals", ())
    doc[LIMITED] = "limits" in facts
    if "security" in facts:
        doc["security"] = facts["security"]
    if facts.get("accepts_form"):
        content = doc["requestBody"]["content"]
        content[FORM_TYPE] = deepcopy(content[JSON_TYPE])
    return doc


def secured_by(*alternatives: Requirement) -> Callable[[ViewT], ViewT]:
    """Document the kinds of token that a view accepts; one of them is enough."""

    def decorator(view: ViewT) -> ViewT:
        view.__dict__.setdefault("_apidoc", {})["security"] = list(alternatives)
        return view

    return decorator


def limited_by(limits: tuple[Any, ...]) -> Callable[[ViewT], ViewT]:
    """Document that a view has rate limits, so its responses have their headers."""

    def decorator(view: ViewT) -> ViewT:
        view.__dict__.setdefault("_apidoc", {})["limits"] = limits
        return view

    return decorator


def limits_of(view: Any) -> tuple[Any, ...]:
    """Return the rate limits of a view."""
    found: tuple[Any, ...] = getattr(view, "_apidoc", {}).get("limits", ())
    return found
