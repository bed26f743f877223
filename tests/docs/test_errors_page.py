"""docs/errors.md names every code with its status, and none that does not exist."""

import json
import re
from collections.abc import Iterator

from flask.testing import FlaskClient

import authserve.apikeys.errors
import authserve.app
import authserve.clients.errors
import authserve.federation.errors
import authserve.forwardauth.errors
import authserve.oidc.errors
import authserve.pages.routes  # noqa: F401 - so that every error class is there
import config
from authserve.core.errors import AuthserveError
from authserve.http.errors import INTERNAL_ERROR, METHOD_NOT_ALLOWED, status_of
from authserve.serving.refusals import MALFORMED, REFUSALS, TIMED_OUT, TOO_LARGE
from tests.support.clients import PASSWORD

PAGE = (config.ROOT / "docs" / "errors.md").read_text(encoding="utf-8")

FRAMEWORK = {(405, METHOD_NOT_ALLOWED[0]), (500, INTERNAL_ERROR[0])}

SERVER = {
    (int(status), code) for status, code, _ in (MALFORMED, TOO_LARGE, TIMED_OUT, *REFUSALS.values())
}
"""Refusals by the server, which the application never sees."""

ROW = re.compile(r"^\| (\d{3}) \| `(\w+)` \| (.+) \|$", re.MULTILINE)


def errors(parent: type[AuthserveError] = AuthserveError) -> Iterator[type[AuthserveError]]:
    for error in parent.__subclasses__():
        # Tests have some of their own.
        if error.__module__.startswith("authserve."):
            yield error
        yield from errors(error)


def test_it_has_every_code_with_its_status() -> None:
    told = {(int(status), code) for status, code, _ in ROW.findall(PAGE)}
    ours = {(int(status_of(e)), e.code) for e in errors() if getattr(e, "code", None)}
    assert told == ours | FRAMEWORK | SERVER


def test_it_has_no_code_twice_with_one_status() -> None:
    codes = [(status, code) for status, code, _ in ROW.findall(PAGE)]
    assert len(codes) == len(set(codes))


def test_its_example_is_a_real_problem(client: FlaskClient) -> None:
    (example,) = map(json.loads, re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL))
    response = client.post("/api/v1/auth/register", json={"email": "x", "password": PASSWORD})
    assert response.get_json() == {
        **example,
        "correlation_id": response.headers["X-Correlation-ID"],
    }
