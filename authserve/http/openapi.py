"""flask-smorest, bent to the contract: strict arguments, and every refusal in the document.

A view's decorators say what it takes and what it refuses; the OpenAPI document is made of the
same facts, so it cannot say something else.
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
"""What a call can ask for, in the names of the document."""

REFUSALS = "x-refusals"
"""Where an operation holds its error classes until `openapi_document` has described them."""


LIMITED = "x-limited"
"""The same, for whether an operation is limited."""


class StrictParser(FlaskParser):
    """Arguments from the body that `middleware` has read; unknown ones are refused everywhere."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": RAISE, "query": RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body, which a call that declares one needs."""
        if g.json_body is not None:
            return g.json_body
        if getattr(schema, "is_body_optional", False):
            return {}
        raise MalformedRequestError("The call needs a JSON body.")

    def handle_error(
        self, error: marshmallow.ValidationError, *_args: Any, **_kwargs: Any
    ) -> NoReturn:
        """Answer with the fields' own messages, without the location around them."""
        messages: dict[str, Any] = {}
        for by_field in error.messages_dict.values():
            messages.update(by_field if isinstance(by_field, Mapping) else {"body": by_field})
        raise ValidationFailedError(flatten(messages)) from error


def flatten(messages: Mapping[Any, Any], prefix: str = "") -> dict[str, list[str]]:
    """`{"roles": {0: ["..."]}}` as `{"roles.0": ["..."]}`."""
    flat: dict[str, list[str]] = {}
    for name, value in messages.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{path}."))
        else:
            flat[path] = [str(message) for message in value]
    return flat


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint whose calls are strict and say in the document what they refuse."""

    ARGUMENTS_PARSER = StrictParser()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._prepare_doc_cbks.append(_prepare_facts)

    def arguments(self, schema: type[Schema] | Schema, **kwargs: Any) -> Any:
        """Parse arguments as the library does, but build their schema once, not at each call."""
        return super().arguments(schema() if isinstance(schema, type) else schema, **kwargs)

    @staticmethod
    def refuses(*errors: type[AuthserveError]) -> Callable[[ViewT], ViewT]:
        """Say which errors a view can end in; put it next to the view itself."""

        def decorator(view: ViewT) -> ViewT:
            facts = view.__dict__.setdefault("_apidoc", {})
            facts["refusals"] = (*facts.get("refusals", ()), *errors)
            return view

        return decorator

    @staticmethod
    def takes_form(view: ViewT) -> ViewT:
        """Let a view take its body as a form, too; put it next to the view itself."""
        view.__dict__.setdefault("_apidoc", {})["accepts_form"] = True
        return view


def accepts_form(view: Any) -> bool:
    """Whether a view takes its body as a form, too."""
    return bool(getattr(view, "_apidoc", {}).get("accepts_form"))


def declares_query(view: Any) -> bool:
    """Whether a view takes query parameters."""
    return _declares(view, "query")


def declares_body(view: Any) -> bool:
    """Whether a view takes a JSON body."""
    return _declares(view, "json")


def _declares(view: Any, location: str) -> bool:
    arguments = getattr(view, "_apidoc", {}).get("arguments", {})
    return any(p.get("in") == location for p in arguments.get("parameters", ()))


def _prepare_facts(doc: dict[str, Any], facts: dict[str, Any], **_kwargs: Any) -> dict[str, Any]:
    """Hand what the decorators said over to `openapi_document`."""
    doc[REFUSALS] = facts.get("refusals", ())
    doc[LIMITED] = "limits" in facts
    if "security" in facts:
        doc["security"] = facts["security"]
    if facts.get("accepts_form"):
        content = doc["requestBody"]["content"]
        content[FORM_TYPE] = deepcopy(content[JSON_TYPE])
    return doc


def secured_by(*alternatives: Requirement) -> Callable[[ViewT], ViewT]:
    """Say in the document which kinds of token a view takes; one of them is enough."""

    def decorator(view: ViewT) -> ViewT:
        view.__dict__.setdefault("_apidoc", {})["security"] = list(alternatives)
        return view

    return decorator


def limited_by(limits: tuple[Any, ...]) -> Callable[[ViewT], ViewT]:
    """Say in the document that the answers of a view tell of limits."""

    def decorator(view: ViewT) -> ViewT:
        view.__dict__.setdefault("_apidoc", {})["limits"] = limits
        return view

    return decorator


def limits_of(view: Any) -> tuple[Any, ...]:
    """What a view is limited by."""
    found: tuple[Any, ...] = getattr(view, "_apidoc", {}).get("limits", ())
    return found
