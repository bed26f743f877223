"""flask-smorest, adapted to the contract: strict arguments, and all errors in the document.

A view's decorators declare its arguments and its errors. The OpenAPI document is generated from
the same declarations, so it cannot differ from them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import flask_smorest
import marshmallow
from flask import Request
from marshmallow import RAISE, Schema
from webargs.flaskparser import FlaskParser

from authserve.core.errors import AuthserveError, MalformedRequestError, ValidationFailedError
from authserve.http.request_info import request_state

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

API_PREFIX = "/api/v1/"

Requirement = Mapping[str, list[str]]

ACCESS_TOKEN: Requirement = {"accessToken": []}
REFRESH_TOKEN: Requirement = {"refreshToken": []}
NO_TOKEN: Requirement = {}
"""Security requirements of a call, as the document names them."""


@dataclass(slots=True)
class CallFacts:
    """The declarations of a view's decorators, for the middleware and the OpenAPI document.

    Args:
        refusals: the errors that the view can raise.
        limits: its rate limits.
        security: the kinds of token that it accepts; one of them is enough.
        locations: where it has arguments: `json`, `query`.
        accepts_form: True if it accepts its body as a form, too.
        scope: the scope that opens it to apps and API keys without a permission; None if none does.
    """

    refusals: tuple[type[AuthserveError], ...] = ()
    limits: tuple[Any, ...] = ()
    security: tuple[Requirement, ...] = ()
    locations: tuple[str, ...] = ()
    accepts_form: bool = False
    scope: str | None = None


_NO_FACTS = CallFacts()


def facts_of(view: Any) -> CallFacts:
    """Return the declarations of a view."""
    facts: CallFacts = getattr(view, "call_facts", _NO_FACTS)
    return facts


def _declare(view: Callable[..., Any]) -> CallFacts:
    """Return the declarations of a view to change; `functools.wraps` hands them on."""
    facts: CallFacts = view.__dict__.setdefault("call_facts", CallFacts())
    return facts


def refusals_of(view: Callable[..., Any]) -> tuple[type[AuthserveError], ...]:
    """Return the errors that a view documents."""
    return _declare(view).refusals


class StrictParser(FlaskParser):
    """A parser of arguments that uses the body read by `middleware` and refuses unknown fields."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": RAISE, "query": RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:
        """Return the body; refuse a request without one unless its schema makes it optional."""
        body = request_state().json_body
        if body is not None:
            return body
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


def load_input(schema: Schema, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return input of a command or a file as a schema loads it.

    Raises:
        ValidationFailedError: with the faults by field, as a call would answer.
    """
    try:
        loaded: dict[str, Any] = schema.load(given)
    except marshmallow.ValidationError as error:
        raise ValidationFailedError(flatten(error.messages_dict)) from error
    return loaded


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A blueprint with strict arguments that documents the errors of its calls."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(
        self, schema: type[Schema] | Schema, *, location: str = "json", **kwargs: Any
    ) -> Any:
        """Parse arguments like flask-smorest, but build the schema once, not at each call."""
        built = schema() if isinstance(schema, type) else schema
        parse = super().arguments(built, location=location, **kwargs)

        def decorator(view: ViewT) -> Any:
            _declare(view).locations += (location,)
            return parse(view)

        return decorator

    @staticmethod
    def refuses(*errors: type[AuthserveError]) -> Callable[[ViewT], ViewT]:
        """Document the errors that a view can raise; put it next to the view itself."""

        def decorator(view: ViewT) -> ViewT:
            _declare(view).refusals += errors
            return view

        return decorator

    @staticmethod
    def takes_form(view: ViewT) -> ViewT:
        """Let a view accept its body as a form, too; put it next to the view itself."""
        _declare(view).accepts_form = True
        return view


def open_to_scope(scope: str) -> Callable[[ViewT], ViewT]:
    """Open a view to apps and API keys with a scope; put it below `login_required`."""

    def decorator(view: ViewT) -> ViewT:
        _declare(view).scope = scope
        return view

    return decorator


def secured_by(*alternatives: Requirement) -> Callable[[ViewT], ViewT]:
    """Document the kinds of token that a view accepts; one of them is enough."""

    def decorator(view: ViewT) -> ViewT:
        _declare(view).security = alternatives
        return view

    return decorator


def limited_by(limits: tuple[Any, ...]) -> Callable[[ViewT], ViewT]:
    """Document that a view has rate limits, so its responses have their headers."""

    def decorator(view: ViewT) -> ViewT:
        _declare(view).limits = limits
        return view

    return decorator
