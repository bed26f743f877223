"""What the bounded fuzz run of every `make test` and the long one of `make fuzz` share."""

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
"""Operations that take whatever fits. Others judge what an input means: a token, a password, the
cursor of a search."""

LEFT_EMPTY = {"GET /api/v1/users/{user_id}/sessions"}
"""Lists that stay there when DELETE has ended all that was in them."""

TAKES_NOTHING = ("/", "/healthz", "/readyz", "/.well-known/jwks.json")
"""Paths of operations that have no input, so there is nothing to get wrong."""


def read_schema(app: Flask) -> BaseSchema:
    """The document, as Schemathesis reads it."""
    return schemathesis.openapi.from_wsgi("/openapi.json", app)


def operations(schema: BaseSchema) -> list[APIOperation]:
    """Every operation of the document."""
    return [result.ok() for result in schema.get_all_operations()]


def is_guarded(operation: APIOperation) -> bool:
    """Whether visitors get no further than a 401."""
    alternatives = operation.definition.raw["security"]
    return bool(alternatives) and all(alternatives)


def excluded_checks(case: Case, *, may_refuse: bool, is_altered: bool = False) -> list[Any]:
    """What Schemathesis should not judge.

    Args:
        may_refuse: whether the caller may lack what the call needs, whatever is sent.
        is_altered: whether what was made up to be wrong may have been put right since.
    """
    # Whether a token is asked for, `test_openapi` sees.
    excluded: list[Any] = [ignored_auth]
    if may_refuse or case.operation.label not in WHERE_SCHEMAS_TELL_ALL:
        excluded.append(positive_data_acceptance)
    if case.operation.label in LEFT_EMPTY:
        excluded.append(use_after_free)
    if is_altered:
        excluded.append(negative_data_rejection)
    return excluded
