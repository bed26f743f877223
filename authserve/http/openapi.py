"""flask-smorest, bent to the contract: strict arguments, and every refusal in the document.

A view's decorators say what it takes and what it refuses; the OpenAPI document is made of the
same facts, so it cannot say something else.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any, NoReturn, TypeVar

import flask_smorest
import marshmallow
from flask import Flask, Request, g
from marshmallow import RAISE, Schema
from webargs import missing
from webargs.flaskparser import FlaskParser

from authserve.core.errors import (
    AuthserveError,
    MalformedRequestError,
    PayloadTooLargeError,
    UnavailableError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)
from authserve.http.errors import PROBLEM_TYPE, status_of
from authserve.http.schemas import ProblemSchema

ViewT = TypeVar("ViewT", bound=Callable[..., Any])

FORM_TYPE = "application/x-www-form-urlencoded"

BODY_ERRORS = (
    MalformedRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
    ValidationFailedError,
)


class StrictParser(FlaskParser):
    """Arguments from the body that `middleware` has read; unknown ones are refused everywhere."""

    DEFAULT_UNKNOWN_BY_LOCATION = {"json": RAISE, "query": RAISE}  # noqa: RUF012

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The body, which a call that declares one needs."""
        body = g.get("json_body", missing)
        if body is missing and getattr(schema, "is_body_optional", False):
            return {}
        if body is missing:
            raise MalformedRequestError("The call needs a JSON body.")
        return body

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
        self._prepare_doc_cbks.append(_document_refusals)

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


def _document_refusals(
    doc: dict[str, Any], doc_info: dict[str, Any], **_kwargs: Any
) -> dict[str, Any]:
    errors = [*doc_info.get("refusals", ()), UnavailableError]
    if "requestBody" in doc:
        errors.extend(BODY_ERRORS)
    elif doc.get("parameters"):
        errors.append(ValidationFailedError)
    by_status: dict[HTTPStatus, list[type[AuthserveError]]] = defaultdict(list)
    for error in dict.fromkeys(errors):
        by_status[status_of(error)].append(error)
    if doc_info.get("accepts_form"):
        content = doc["requestBody"]["content"]
        content[FORM_TYPE] = deepcopy(content["application/json"])
    responses = doc.setdefault("responses", {})
    for status, group in sorted(by_status.items()):
        responses[str(int(status))] = _problem_doc(status, group)
    if doc_info.get("security"):
        doc["security"] = doc_info["security"]
    return doc


def _problem_doc(status: HTTPStatus, errors: list[type[AuthserveError]]) -> dict[str, Any]:
    examples = {
        error.code: {
            "summary": error.default_detail,
            "value": {
                "type": "about:blank",
                "title": status.phrase,
                "status": int(status),
                "code": error.code,
                "detail": error.default_detail,
                "correlation_id": "01JD7ZK3",
            },
        }
        for error in errors
    }
    codes = ", ".join(f"`{code}`" for code in examples)
    content = {PROBLEM_TYPE: {"schema": ProblemSchema, "examples": examples}}
    return {"description": f"{status.phrase}: {codes}", "content": content}


class API(flask_smorest.Api):  # type: ignore[misc]
    """The document's root; errors are `http.errors`' business, not flask-smorest's."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        pass


api = API()


def bind_api(app: Flask, *, version: str, server_url: str) -> None:
    """Attach the document to `app`; `docs.py` serves it."""
    app.config.update(
        API_TITLE="authserve",
        API_VERSION=version,
        OPENAPI_VERSION="3.1.0",
        API_SPEC_OPTIONS={
            "info": {
                "description": "Sign-up, sign-in, tokens and accounts.",
                "license": {"name": "MIT", "identifier": "MIT"},
            },
            "servers": [{"url": server_url}],
        },
    )
    api.init_app(app)
    api.spec.components.security_scheme(
        "accessToken", {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    )


def secured(view: ViewT) -> ViewT:
    """Say in the document that a view wants an access token."""
    facts = view.__dict__.setdefault("_apidoc", {})
    facts["security"] = deepcopy([{"accessToken": []}])
    return view
