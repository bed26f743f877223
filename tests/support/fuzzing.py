"""Helpers of the bounded fuzz run of every `make test` and the long one of `make fuzz`."""

from typing import Any

import schemathesis
from flask import Flask
from schemathesis import APIOperation, Case
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
    use_after_free,
)

WHERE_SCHEMAS_TELL_ALL = {
    "GET /api/v1/audit-events",
    "GET /api/v1/users/me/events",
    "GET /api/v1/users/me/sessions",
    "GET /api/v1/users/{user_id}/sessions",
    "POST /api/v1/auth/password/forgot",
    "POST /api/v1/users/me/email",
}
"""Operations that accept every input of their schema. Others check its meaning: a token, a
password, the cursor of a search."""

LEFT_EMPTY = {"GET /api/v1/users/{user_id}/sessions"}
"""Lists that still exist after DELETE has removed all their entries."""

TAKES_NOTHING = ("/", "/healthz", "/readyz", "/.well-known/jwks.json")
"""Paths of operations that have no input, so there is nothing to get wrong."""


def read_schema(app: Flask) -> BaseSchema:
    """The document, as Schemathesis reads it."""
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


def operations(schema: BaseSchema) -> list[APIOperation]:
    """Every operation of the document."""
    return [result.ok() for result in schema.get_all_operations()]


def is_guarded(operation: APIOperation) -> bool:
    """Return True if visitors always get 401."""
    alternatives = operation.definition.raw["security"]
    return bool(alternatives) and all(alternatives)


def excluded_checks(case: Case, *, may_refuse: bool, is_altered: bool = False) -> list[Any]:
    """Return the checks that Schemathesis must skip.

    Args:
        may_refuse: True if the caller may lack a permission that the call needs.
        is_altered: True if a part generated as wrong may have been corrected since.
    """
    # `test_openapi` checks which calls require a token.
    excluded: list[Any] = [ignored_auth]
    if may_refuse or case.operation.label not in WHERE_SCHEMAS_TELL_ALL:
        excluded.append(positive_data_acceptance)
    if case.operation.label in LEFT_EMPTY:
        excluded.append(use_after_free)
    if is_altered:
        excluded.append(negative_data_rejection)
    return excluded
