"""The OpenAPI document, checked by Schemathesis."""

from collections.abc import Callable

import pytest
from flask import Flask
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.schemas import BaseSchema

from tests.support.api_keys import give_api_key
from tests.support.clients import register_caller
from tests.support.fuzzing import (
    TAKES_NOTHING,
    excluded_checks,
    is_guarded,
    operations,
    read_schema,
)
from tests.support.identity_providers import give_provider
from tests.support.oauth_clients import give_client
from tests.support.operations import API_FEATURES
from tests.support.passkeys import give_passkey, passkey_row

EXAMPLES = 2
"""For each operation, of inputs that fit its schema and of ones that do not (a few seconds)."""

bounded = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    database=None,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with every call of the API."""
    return make_app(features=API_FEATURES)


@pytest.fixture
def schema(app: Flask) -> BaseSchema:
    """The document, as Schemathesis reads it."""
    return read_schema(app)


def fuzz(
    operation: APIOperation,
    mode: GenerationMode,
    *,
    headers: dict[str, str],
    path: dict[str, str],
    may_refuse: bool = False,
) -> None:
    """Send generated requests to an operation; each answer has to match the document.

    Args:
        headers: sent with every request.
        path: parameters of the path that match an existing row.
        may_refuse: True if the caller may lack a permission.
    """

    @bounded
    @given(case=operation.as_strategy(generation_mode=mode))
    def exchange(case: Case) -> None:
        if mode is GenerationMode.POSITIVE:
            known = path.keys() & case.path_parameters.keys()
            case.path_parameters |= {name: path[name] for name in known}
        response = case.call(headers=headers)
        excluded = excluded_checks(case, may_refuse=may_refuse)
        case.validate_response(response, headers=headers, excluded_checks=excluded)

    try:
        exchange()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE
        assert operation.path in TAKES_NOTHING


@pytest.mark.parametrize("mode", GenerationMode)
def test_visitors_get_only_what_the_document_says(
    schema: BaseSchema, mode: GenerationMode, subtests: pytest.Subtests
) -> None:
    for operation in operations(schema):
        if not is_guarded(operation):
            with subtests.test(operation.label):
                fuzz(operation, mode, headers={}, path={})


@pytest.mark.parametrize(
    ("mode", "role"),
    [
        (GenerationMode.POSITIVE, "user"),
        (GenerationMode.POSITIVE, "admin"),
        # A user is refused for a permission first, or as an administrator is.
        (GenerationMode.NEGATIVE, "admin"),
    ],
)
def test_callers_get_only_what_the_document_says(
    app: Flask, schema: BaseSchema, mode: GenerationMode, role: str, subtests: pytest.Subtests
) -> None:
    reader = register_caller(app, "reader", roles=[role])
    for number, operation in enumerate(operations(schema)):
        # An operation that can change an account has one of its own, and a caller of its own.
        # Nothing comes of input that does not fit.
        refuses = mode is GenerationMode.NEGATIVE
        reads = refuses or operation.method == "get" or not is_guarded(operation)
        caller = reader if reads else register_caller(app, f"caller{number}", roles=[role])
        path = {"session_id": str(caller.session_id), "name": "user"}
        if "{passkey_id}" in operation.path:
            path["passkey_id"] = str(passkey_row(app, give_passkey(app, caller.id))["id"])
        if "{client_id}" in operation.path:
            given = give_client(app, f"client{number}")
            path["client_id"] = given.client.client_id
            path["secret_id"] = str(given.secrets[0].id)
        if "{slug}" in operation.path:
            path["slug"] = give_provider(app, f"provider{number}").slug
        if "{key_id}" in operation.path:
            path["key_id"] = give_api_key(app, caller.id)[0]
        if "{user_id}" in operation.path:
            user = reader if reads else register_caller(app, f"user{number}")
            path["user_id"] = str(user.id)
        headers = {"Authorization": f"Bearer {caller.tokens['access_token']}"}
        with subtests.test(operation.label):
            fuzz(operation, mode, headers=headers, path=path, may_refuse=role == "user")
