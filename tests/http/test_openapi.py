"""The OpenAPI document's description of every operation."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_schema_validator import OAS31Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012
from werkzeug.test import TestResponse

from authserve.core.errors import AuthserveError
from authserve.http.openapi import flatten
from authserve.http.openapi_document import OPENAPI, example_of
from tests.support.operations import API_FEATURES

DOCUMENT = "urn:document"

PUBLIC = {
    "links_accept",
    "links_forgot_password",
    "auth_login_user",
    "auth_post_first_administrator",
    "auth_register_user",
    "links_resend_verification",
    "email_sign_in_post_email_code",
    "email_sign_in_post_email_code_verify",
    "passkey_sign_in_post_passkey",
    "second_step_post_enrollment",
    "second_step_post_enrollment_options",
    "second_step_post_verification",
    "passkey_sign_in_post_passkey_options",
    "passkey_sign_in_post_second_step_options",
    "links_reset",
    "health_healthz",
    "health_readyz",
    "root_root",
    "keys_jwks",
}
"""The calls that ignore tokens. Each is added by hand."""

ACCESS, REFRESH, NONE = {"accessToken": []}, {"refreshToken": []}, {}

SPECIAL = {
    "auth_logout_session": [ACCESS, REFRESH],
    "auth_refresh_tokens": [NONE, REFRESH],
    "links_verify_email": [NONE, ACCESS],
    "email_confirm_email": [NONE, ACCESS],
}
"""The calls that take another token, or none and something else in its place."""

RATE_LIMITS = {"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"}

STRICT = {
    "400": "malformed_request",
    "413": "payload_too_large",
    "415": "unsupported_media_type",
    "422": "validation_failed",
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every call of the API."""
    return make_app(features=API_FEATURES)


@pytest.fixture
def document(app: Flask) -> dict[str, Any]:
    """The OpenAPI document."""
    with app.app_context():
        found: dict[str, Any] = json.loads(OPENAPI.get().text)
    return found


@pytest.fixture
def operations(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The operations by their id, each with its path and method."""
    return {
        operation["operationId"]: {**operation, "path": path, "method": method}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


def codes(operation: dict[str, Any], status: str) -> set[str]:
    """The codes that the examples of a refusal show."""
    media = operation["responses"][status]["content"]["application/problem+json"]
    return set(media["examples"])


def test_every_call_asks_for_a_token_or_is_on_the_list(operations: dict[str, Any]) -> None:
    for name, operation in operations.items():
        expected = [] if name in PUBLIC else SPECIAL.get(name, [ACCESS])
        assert operation["security"] == expected, name
        if expected:
            assert "authentication_required" in codes(operation, "401")
    assert operations.keys() >= PUBLIC | SPECIAL.keys()


def send(client: FlaskClient, operation: dict[str, Any], **kwargs: Any) -> TestResponse:
    """Call an operation."""
    path = operation["path"].replace("{name}", "user").replace("{client_id}", "wiki")
    path = path.replace("{slug}", "google")
    for parameter in ("user_id", "session_id", "passkey_id", "secret_id", "key_id", "identity_id"):
        path = path.replace(f"{{{parameter}}}", "01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f")
    return client.open(path, method=operation["method"].upper(), **kwargs)


def test_its_security_requirements_are_true(app: Flask, operations: dict[str, Any]) -> None:
    client = app.test_client()
    for name, operation in operations.items():
        response = send(client, operation)
        if name in PUBLIC or (NONE in operation["security"] and name != "auth_refresh_tokens"):
            assert response.status_code in (200, 400), name
        else:
            assert response.status_code == 401, name
            assert response.get_json()["code"] == "authentication_required"


def test_calls_that_refuse_a_bad_token_document_it(app: Flask, operations: dict[str, Any]) -> None:
    client = app.test_client()
    headers = {"Authorization": "Bearer x"}
    for name, operation in operations.items():
        media = operation.get("requestBody", {}).get("content", {}).get("application/json")
        body = {"json": media["example"]} if media and name != "auth_refresh_tokens" else {}
        response = send(client, operation, headers=headers, **body)
        if name not in PUBLIC:
            assert response.status_code == 401, name
        # Without an account, logging in is 401 as well.
        if response.status_code == 401:
            assert response.get_json()["code"] in codes(operation, "401"), name


def test_every_rule_of_the_api_is_described(app: Flask, operations: dict[str, Any]) -> None:
    described = {(operation["path"], operation["method"]) for operation in operations.values()}
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/api/"):
            path = rule.rule.replace("<uuid:", "{").replace("<", "{").replace(">", "}")
            methods = {method.lower() for method in rule.methods or ()} - {"head", "options"}
            assert {(path, method) for method in methods} <= described


def test_every_call_of_the_api_names_every_refusal_by_strictness(
    operations: dict[str, Any],
) -> None:
    for name, operation in operations.items():
        if operation["path"].startswith("/api/"):
            assert all(code in codes(operation, status) for status, code in STRICT.items()), name


STAND_ON_NOTHING = ("health_healthz", "root_root")


def test_every_call_with_a_dependency_can_be_unavailable(
    operations: dict[str, Any],
) -> None:
    for name, operation in operations.items():
        assert codes(operation, "500") == {"internal_error"}
        assert ("503" in operation["responses"]) is (name not in STAND_ON_NOTHING)
    readiness = operations["health_readyz"]["responses"]["503"]["content"]
    assert list(readiness) == ["application/json"]


def test_every_call_with_an_id_can_find_nothing(operations: dict[str, Any]) -> None:
    for operation in operations.values():
        if "{" in operation["path"]:
            assert "not_found" in codes(operation, "404")


def test_every_documented_code_is_one_of_the_service(operations: dict[str, Any]) -> None:
    known = {error.__dict__.get("code") for error in descendants(AuthserveError)}
    for operation in operations.values():
        for response in operation["responses"].values():
            media = response.get("content", {}).get("application/problem+json", {"examples": {}})
            for code, example in media["examples"].items():
                assert code in known | {"internal_error"}
                assert example["value"]["code"] == code
                assert f"`{code}`" in response["description"]


def descendants(error: type[AuthserveError]) -> Iterator[type[AuthserveError]]:
    for child in error.__subclasses__():
        yield child
        yield from descendants(child)


def test_refusals_have_the_headers_that_they_are_sent_with(operations: dict[str, Any]) -> None:
    for operation in operations.values():
        for status, response in operation["responses"].items():
            if "application/problem+json" in response.get("content", {}):
                found = set(response.get("headers", {}))
                expected = {
                    "401": {"WWW-Authenticate"},
                    "429": {"Retry-After", *RATE_LIMITS},
                    "503": {"Retry-After"},
                }
                assert found == expected.get(status, set())


def test_headers_of_a_limit_count_from_zero_and_a_pause_from_one(
    operations: dict[str, Any],
) -> None:
    """The last allowed call has 0 left; a pause of 0 seconds would be a call at once."""
    schemas = {
        name: header["schema"]
        for operation in operations.values()
        for response in operation["responses"].values()
        for name, header in response.get("headers", {}).items()
    }
    assert {name: schemas[name]["minimum"] for name in RATE_LIMITS} == dict.fromkeys(RATE_LIMITS, 0)
    assert schemas["Retry-After"]["minimum"] == 1


WITH_OPTIONAL_FIELDS = {
    "AddedPasskey",  # Tokens, if the call raised the session; codes, if it made them.
    "Claim",  # What the source of the claim has.
    "ConfirmedTotp",
    "Introspection",  # RFC 7662 §2.2: an inactive token has `active` alone.
    "JWK",  # RFC 7517 §4: each kind of key has members of its own.
    "MfaState",
    "NewFactor",  # What the method needs.
    "PersonalData",  # The lists of the features that are on.
    "Problem",
    "Tokens",
    "VerifiedKey",  # One that is not good has `active` alone.
}
"""The schemas of answers that may leave fields out."""


def test_an_answer_has_all_its_fields_unless_it_is_named_here(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    responses = [
        operation["responses"]
        for item in document["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
    ]
    optional = {
        name
        for name in names_in(responses, document)
        if schemas[name].get("properties", {}).keys() - set(schemas[name].get("required", ()))
    }
    assert optional == WITH_OPTIONAL_FIELDS


def names_in(part: object, document: dict[str, Any]) -> set[str]:
    """Return the schemas that a part of the document names, and those that they name."""
    found: set[str] = set()
    text = json.dumps(part)
    while new := set(re.findall(r"#/components/schemas/(\w+)", text)) - found:
        found |= new
        text = json.dumps([document["components"]["schemas"][name] for name in new])
    return found


def test_every_answer_to_retry_documents_retry_after(operations: dict[str, Any]) -> None:
    for operation in operations.values():
        for status in {"429", "503"} & operation["responses"].keys():
            assert "Retry-After" in operation["responses"][status]["headers"], operation["path"]


def test_every_schema_is_used(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for name in document["components"]["schemas"]:
        assert f'"#/components/schemas/{name}"' in text


def media_of(operation: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    bodies = {"request": operation.get("requestBody", {}), **operation["responses"]}
    for name, body in bodies.items():
        for media in body.get("content", {}).values():
            yield name, media


def test_every_body_has_examples_that_fit_its_schema(
    document: dict[str, Any], operations: dict[str, Any]
) -> None:
    resource = Resource(contents=absolute(document), specification=DRAFT202012)
    registry: Any = Registry().with_resource(DOCUMENT, resource)
    for name, operation in operations.items():
        for body, media in media_of(operation):
            schema = absolute(media["schema"])
            checker = OAS31Validator(
                schema, registry=registry, format_checker=OAS31Validator.FORMAT_CHECKER
            )
            examples = [example["value"] for example in media.get("examples", {}).values()]
            examples += [media["example"]] if "example" in media else []
            assert examples, (name, body)
            for example in examples:
                assert [error.message for error in checker.iter_errors(example)] == [], (name, body)
                assert "…" not in str(example), (name, body)


def absolute(schema: Any) -> Any:
    """The same with references that a registry resolves."""
    if isinstance(schema, dict):
        return {
            key: f"{DOCUMENT}{value}" if key == "$ref" else absolute(value)
            for key, value in schema.items()
        }
    return [absolute(item) for item in schema] if isinstance(schema, list) else schema


def test_every_request_is_strict_about_its_fields(
    document: dict[str, Any], operations: dict[str, Any]
) -> None:
    for name, operation in operations.items():
        for media in operation.get("requestBody", {}).get("content", {}).values():
            schema = document["components"]["schemas"][media["schema"]["$ref"].rpartition("/")[2]]
            assert schema["additionalProperties"] is False, name


def test_introspection_alone_takes_a_form(operations: dict[str, Any]) -> None:
    forms = {
        name
        for name, operation in operations.items()
        if set(operation.get("requestBody", {}).get("content", {})) - {"application/json"}
    }
    assert forms == {"auth_introspect_token"}


def test_an_example_is_made_of_the_schemas_examples() -> None:
    schemas = {"Name": {"type": "string", "example": "alice"}}
    schema = {
        "type": "object",
        "properties": {
            "told": {"type": "string", "example": "x"},
            "falsy": {"type": "boolean", "example": False},
            "chosen": {"type": "string", "enum": ["a", "b"]},
            "named": {"$ref": "#/components/schemas/Name"},
            "listed": {"type": "array", "items": {"$ref": "#/components/schemas/Name"}},
            "moment": {"type": ["string", "null"], "format": "date-time"},
            "nothing": {"type": ["string", "null"]},
            "flag": {"type": "boolean"},
            "count": {"type": "integer", "minimum": 3},
            "free": {"type": "object"},
        },
    }
    assert example_of(schema, schemas) == {
        "told": "x",
        "falsy": False,
        "chosen": "a",
        "named": "alice",
        "listed": ["alice"],
        "moment": "2026-11-23T06:49:48.123456Z",
        "nothing": None,
        "flag": True,
        "count": 3,
        "free": {},
    }


def test_messages_of_nested_fields_have_paths() -> None:
    nested = {"roles": {0: ["Too short."], 2: ["Too long."]}, "name": ["Missing."]}
    assert flatten(nested) == {
        "roles.0": ["Too short."],
        "roles.2": ["Too long."],
        "name": ["Missing."],
    }


def test_free_text_of_a_query_holds_no_nul(document: dict[str, Any]) -> None:
    """Every call refuses one, so the document must not allow it."""
    texts = [
        (path, parameter)
        for path, item in document["paths"].items()
        for operation in item.values()
        if isinstance(operation, dict)
        for parameter in operation.get("parameters", ())
        if parameter.get("in") == "query" and parameter["schema"].get("type") == "string"
    ]
    assert len(texts) > 5
    for path, parameter in texts:
        schema = parameter["schema"]
        is_narrow = "format" in schema or "enum" in schema
        assert is_narrow or not OAS31Validator(schema).is_valid("a\0"), (path, parameter)
