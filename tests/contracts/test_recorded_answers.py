"""Every operation answers as recorded: a change of any status, header or body is seen.

`pytest tests/contracts --record-answers` records the answers anew.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache, partial
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine
from flask import Flask
from werkzeug.test import TestResponse

from authserve.app import create_app
from authserve.core.clock import now
from authserve.http.openapi_document import OPENAPI
from tests.conftest import make_settings
from tests.contracts.records import written
from tests.contracts.scenarios import SCENARIOS
from tests.contracts.scene import (
    Scene,
    documented,
    expired_token,
    over_limit,
    shared_refusals,
    without_database,
)
from tests.support.headers import CONTENT_SECURITY_POLICY, SECURITY_HEADERS
from tests.support.operations import API_FEATURES

RECORD = Path(__file__).parent / "answers.json"

Answers = dict[str, dict[str, Any]]

UNRECORDED = {("500", "internal_error"), ("503", "busy"), ("403", "insufficient_scope")}
"""Answers of a programming error and of a full hashing queue: no call by itself causes one. The
refusal of apps, machines and keys is the same everywhere; `tests/oidc/test_token_kinds.py` asks
every call for it."""

LAST_ADMIN = {("409", "last_admin")}
UNRECORDED_OF = {
    # An administrator's own account is refused first, so these need two of them at once.
    "admin_patch_user": LAST_ADMIN,
    "admin_delete_user": LAST_ADMIN,
    # Without a token of a real first step, they refuse before they need the database.
    "second_step_post_verification": {("503", "service_unavailable")},
    "second_step_post_enrollment": {("503", "service_unavailable")},
    "second_step_post_enrollment_options": {("503", "service_unavailable")},
    # It reads no table, and limits do without their counters.
    "passkey_sign_in_post_passkey_options": {("503", "service_unavailable")},
    # Its token has expired when the database goes.
    "passkey_sign_in_post_second_step_options": {("503", "service_unavailable")},
}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application that limits calls, since the limits have headers."""
    return make_app(ratelimit_enabled=True, features=API_FEATURES)


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """The document's operations by their id, with their method and path."""
    folder = tmp_path_factory.mktemp("document")
    app = create_app(make_settings(f"sqlite:///{folder}/empty.db", folder, features=API_FEATURES))
    with app.app_context():
        document = json.loads(OPENAPI.get().text)
    return {
        operation["operationId"]: {**operation, "path": path, "method": method.upper()}
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }


@pytest.mark.parametrize("name", SCENARIOS)
def test_an_operation_answers_as_recorded(
    app: Flask,
    clock: time_machine.Traveller,
    operations: dict[str, dict[str, Any]],
    lose_database: Callable[[], None],
    request: pytest.FixtureRequest,
    name: str,
) -> None:
    scene = Scene(app, clock, operations[name])
    answers = play(scene, partial(SCENARIOS[name], scene), lose_database)
    if request.config.getoption("record_answers"):
        record(name, answers)
    assert answers == read_record()[name]


def test_every_documented_answer_is_recorded(operations: dict[str, dict[str, Any]]) -> None:
    recorded = read_record()
    assert operations.keys() == recorded.keys()
    for name, operation in operations.items():
        seen = {(str(each["status"]), code_of(each)) for each in recorded[name].values()}
        expected = documented(operation) - UNRECORDED - UNRECORDED_OF.get(name, set())
        assert expected <= seen, name


def play(
    scene: Scene, story: Callable[[], Iterator[Any]], lose_database: Callable[[], None]
) -> Answers:
    """Return the answers of a scenario by name."""
    answers: Answers = {}
    for part in (
        story,
        partial(shared_refusals, scene),
        partial(expired_token, scene),
        partial(over_limit, scene),
        partial(without_database, scene, lose_database),
    ):
        for name, response in part():
            assert name not in answers
            answers[name] = describe(response)
    return answers


def code_of(answer: dict[str, Any]) -> str:
    """Return the code of a recorded problem, or an empty string for any other answer."""
    body = answer.get("body")
    return body.get("code", "") if isinstance(body, dict) else ""


def describe(response: TestResponse) -> dict[str, Any]:
    """Return an answer without what differs from run to run, and without what all answers have."""
    ids: dict[str, str] = {}
    headers = {
        name: placeholder(value, ids)
        for name, value in response.headers.items()
        if name not in ("Date", "Content-Length") and EVERYWHERE.get(name) != value
    }
    if response.status_code == 503 and "Retry-After" in headers:
        # The delay has a random part.
        headers["Retry-After"] = "<seconds>"
    described = {"status": response.status_code, "headers": headers}
    return described | ({"body": replaced(response.get_json(), ids)} if response.data else {})


EVERYWHERE = SECURITY_HEADERS | {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Correlation-ID": "recorded",
}

OPAQUE = {"challenge", "next_cursor", "kid", "x", "y", "version", "user_agent"}
OPAQUE |= {"client_secret", "hint", "secret", "uri", "qr_svg", "codes", "recovery_codes"}
"""Members whose text is random without a form of its own, or names a version."""


def replaced(value: Any, ids: dict[str, str], member: str = "") -> Any:
    """Return a JSON value with placeholders for ids, times and tokens."""
    if isinstance(value, dict):
        return {key: replaced(inner, ids, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [replaced(inner, ids, member) for inner in value]
    if not isinstance(value, str):
        return value
    is_opaque = member in OPAQUE or (member == "id" and BYTES.fullmatch(value) is not None)
    return f"<{member}>" if is_opaque else placeholder(value, ids)


ID = re.compile(r"\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{32})\b")
"""An id of a row, or the correlation id of a request that had none."""

BYTES = re.compile(r"[\w-]{22}")
"""An id of 16 bytes in base64url, as browsers write those of accounts and passkeys."""

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z")
API_KEY = re.compile(r"ask_[0-9A-Za-z]{49}")
TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")


def placeholder(text: str, ids: dict[str, str]) -> str:
    """Return a text with placeholders; equal ids of one answer have equal ones."""
    text = API_KEY.sub("<API key>", text)
    text = TOKEN.sub(lambda match: _token(match[0]), text)
    text = TIME.sub(lambda match: _time(match[0]), text)
    return ID.sub(lambda match: ids.setdefault(match[0], f"<id {len(ids) + 1}>"), text)


def _token(token: str) -> str:
    header = jwt.get_unverified_header(token)
    claims = jwt.decode(token, options={"verify_signature": False})
    return f"<{header.get('typ')} {header['alg']}: {' '.join(sorted(claims))}>"


def _time(text: str) -> str:
    seconds = (datetime.fromisoformat(text) - now()).total_seconds()
    return "<past>" if seconds < 0 else f"<now + {seconds:.0f} s>" if seconds else "<now>"


@cache
def read_record() -> dict[str, Answers]:
    """Return the recorded answers of every operation."""
    found: dict[str, Answers] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    return found


def record(name: str, answers: Answers) -> None:
    """Replace the recorded answers of one operation."""
    recorded = {**read_record(), name: answers}
    known = {each: recorded[each] for each in SCENARIOS if each in recorded}
    RECORD.write_text(written(known) + "\n")
    read_record.cache_clear()
