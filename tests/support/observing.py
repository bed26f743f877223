"""Observable differences between accounts: the whole answer, and the work that it took."""

from collections.abc import Callable
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from authserve.database.transactions import db
from tests.support.databases import executed


def answer_of(response: TestResponse) -> tuple[Any, ...]:
    """All that a caller sees, but what differs from any request to the next."""
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("X-Correlation-ID", "Date")
    }
    body = response.get_json()
    return response.status_code, {**body, "correlation_id": None}, headers


def observed(app: Flask, call: Callable[[], TestResponse]) -> tuple[Any, list[str]]:
    """Return the answer and its statements, which represent its time."""
    with app.app_context():
        engine = db.engine
    with executed(engine) as sent:
        response = call()
    # Every process reads new signing keys now and then, at any caller's request.
    mine = [statement for statement, _ in sent if "FROM signing_keys" not in statement]
    return answer_of(response), mine
