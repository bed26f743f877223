"""The form of every refusal."""

from http import HTTPStatus
from typing import Any

from werkzeug.test import TestResponse

INTERNALS = (
    "alembic",
    "database",
    "flask",
    "gunicorn",
    "marshmallow",
    "postgres",
    "psycopg",
    "python",
    "sqlalchemy",
    "sqlite",
    "traceback",
    "werkzeug",
)
"""Words of the implementation, which no answer may hold."""


FURTHER_MEMBERS = {
    "validation_failed": {"errors"},
    "mfa_required": {"mfa_token", "expires_in", "methods"},
    "mfa_enrollment_required": {"mfa_token", "expires_in", "methods"},
}
"""What a problem may have besides the members of all, by its code."""


def assert_problem(response: TestResponse, status: int, code: str) -> dict[str, Any]:
    """Check that a response is a complete RFC 9457 problem and return its body."""
    assert response.status_code == status, response.get_data(as_text=True)
    assert response.headers["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = response.get_json()
    assert problem["code"] == code, problem
    further = {name: problem[name] for name in FURTHER_MEMBERS.get(code, ()) if name in problem}
    assert problem == {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": problem["detail"],
        "correlation_id": response.headers["X-Correlation-ID"],
        **further,
    }
    assert problem["detail"]
    words = response.get_data(as_text=True).lower()
    assert not [internal for internal in INTERNALS if internal in words]
    return problem
