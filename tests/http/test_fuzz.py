"""The document's own word, put to the test by Schemathesis."""

from typing import Any

import pytest
import schemathesis
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import ignored_auth, positive_data_acceptance

from tests.support.clients import register_caller
from tests.support.marks import on_sqlite

EXAMPLES = 3
"""For each operation, of inputs that fit its schema and of ones that do not (a few seconds)."""

WHERE_SCHEMAS_TELL_ALL = {
    "GET /api/v1/audit-events",
    "GET /api/v1/users",
    "GET /api/v1/users/me/events",
    "GET /api/v1/users/me/sessions",
    "GET /api/v1/users/{user_id}/sessions",
    "POST /api/v1/auth/password/forgot",
    "POST /api/v1/users/me/email",
}
"""Operations that take whatever fits. Others judge what an input means: a token, a password."""

bounded = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def schema(app: Flask) -> BaseSchema:
    """The document, as Schemathesis reads it."""
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


def operations(schema: BaseSchema) -> list[APIOperation]:
    return [result.ok() for result in schema.get_all_operations()]


def is_guarded(operation: APIOperation) -> bool:
    """Whether visitors get no further than a 401."""
    alternatives = operation.definition.raw["security"]
    return bool(alternatives) and all(alternatives)


def fuzz(
    operation: APIOperation, mode: GenerationMode, *, headers: dict[str, str], path: dict[str, str]
) -> None:
    """Send generated requests to an operation; each answer has to be as the document says.

    Args:
        headers: sent with every request.
        path: parameters of the path that should hit something.
    """
    # Whether a token is asked for, `test_openapi` sees.
    excluded: list[Any] = [ignored_auth]
    if operation.label not in WHERE_SCHEMAS_TELL_ALL:
        excluded.append(positive_data_acceptance)

    @bounded
    @given(case=operation.as_strategy(generation_mode=mode))
    def exchange(case: Case) -> None:
        if mode is GenerationMode.POSITIVE:
            known = path.keys() & case.path_parameters.keys()
            case.path_parameters |= {name: path[name] for name in known}
        response = case.call(headers=headers)
        case.validate_response(response, headers=headers, excluded_checks=excluded)

    try:
        exchange()
    except Unsatisfiable:
        # It takes nothing at all, so there is nothing to get wrong.
        assert mode is GenerationMode.NEGATIVE
        assert operation.path in ("/healthz", "/readyz", "/.well-known/jwks.json")


@on_sqlite
@pytest.mark.parametrize("mode", GenerationMode)
def test_visitors_get_only_what_the_document_says(
    schema: BaseSchema, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    for operation in operations(schema):
        if not is_guarded(operation):
            with subtests.test(operation.label):
                fuzz(operation, mode, headers={}, path={})


@on_sqlite
@pytest.mark.parametrize("mode", GenerationMode)
def test_administrators_get_only_what_the_document_says(
    app: Flask, schema: BaseSchema, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    for number, operation in enumerate(operations(schema)):
        # Each operation has an account of its own to spoil, and one to spoil it with.
        admin = register_caller(app, f"admin{number}", roles=["admin"])
        path = {"session_id": str(admin.session_id), "name": "user"}
        if "{user_id}" in operation.path:
            path["user_id"] = str(register_caller(app, f"user{number}").id)
        headers = {"Authorization": f"Bearer {admin.tokens['access_token']}"}
        with subtests.test(operation.label):
            fuzz(operation, mode, headers=headers, path=path)
