from collections.abc import Callable, Iterator

import pytest
from flask import Flask, abort
from flask.testing import FlaskClient
from sqlalchemy import QueuePool, create_engine, text
from sqlalchemy.exc import IntegrityError, InterfaceError

from authserve.core.errors import AuthserveError, ThrottledError, UnavailableError
from authserve.database.transactions import db
from authserve.http.errors import RETRY_AFTER_RANGE_SECS, status_of
from tests.conftest import Log
from tests.support.clients import PASSWORD, Caller, register
from tests.support.marks import both_databases
from tests.support.probes import PROBE, add_probe, cookie_client
from tests.support.problems import INTERNALS, assert_problem

ME = "/api/v1/users/me"


def errors_with_a_code(parent: type[AuthserveError]) -> Iterator[type[AuthserveError]]:
    """The errors that are raised; one without a code is a kind of error."""
    for error in parent.__subclasses__():
        if "code" in vars(error) and error.__module__.startswith("authserve."):
            yield error
        yield from errors_with_a_code(error)


def test_every_error_of_the_service_has_a_status_and_words() -> None:
    for error in errors_with_a_code(AuthserveError):
        assert 400 <= status_of(error) < 600
        assert error.default_detail.endswith(".")


def test_no_two_errors_share_a_code_and_a_status() -> None:
    pairs = [(error.code, status_of(error)) for error in errors_with_a_code(AuthserveError)]
    assert len(pairs) == len(set(pairs)) > 20


def test_every_refusal_of_a_call_is_a_problem(client: FlaskClient, alice: Caller) -> None:
    login = "/api/v1/auth/login"
    assert_problem(client.post(login, json=[]), 400, "malformed_request")
    assert_problem(client.get(ME), 401, "authentication_required")
    introspect = "/api/v1/auth/introspect"
    assert_problem(alice.post(introspect, json={"token": "x"}), 403, "insufficient_permissions")
    assert_problem(client.get("/api/v1/nowhere"), 404, "not_found")
    assert_problem(client.get("/nowhere"), 404, "not_found")
    assert_problem(client.get(login), 405, "method_not_allowed")
    assert_problem(register(client, "alice"), 409, "email_taken")
    assert_problem(client.post(login, data="{}"), 415, "unsupported_media_type")
    problem = assert_problem(client.post(login, json={}), 422, "validation_failed")
    assert set(problem["errors"]) == {"identifier", "password"}


def test_405_names_the_methods_that_there_are(client: FlaskClient) -> None:
    for method in ("PUT", "POST", "OPTIONS", "TRACE", "CONNECT", "PROPFIND"):
        response = client.open(ME, method=method)
        assert_problem(response, 405, "method_not_allowed")
        assert response.headers["Allow"] == "DELETE, GET, HEAD, PATCH"


def test_no_header_changes_the_method(alice: Caller) -> None:
    headers = {"X-HTTP-Method-Override": "GET", "X-HTTP-Method": "GET"}
    assert_problem(alice.post(ME, headers=headers), 405, "method_not_allowed")


def test_head_answers_what_get_answers_without_the_body(alice: Caller) -> None:
    for path, status in ((ME, 200), ("/api/v1/nowhere", 404), ("/docs", 200), ("/healthz", 200)):
        got, headed = alice.get(path), alice.call("HEAD", path)
        assert (got.status_code, headed.status_code) == (status, status)
        assert headed.get_data() == b""
        assert headed.headers["Content-Type"] == got.headers["Content-Type"]


PATHS = (
    "//",
    "//healthz",
    "healthz",
    "",
    "/healthz/",
    "/api/v1/users/me/",
    "/api/v1//users/me",
    "//api/v1/users/me",
    "api/v1/users/me",
    "/api/v1/users/me//",
    "/api/v1/./users/me",
    "/api/v1/roles/../users/me",
    "/api/v1/users\\me",
    "/api/v1/users/me;x",
    "/api/v1/users/me\x00",
    "/api/v1/users/me\n",
    "/api/v1/users/me ",
    "/API/v1/users/me",
    "/api/v1/users/ME",
    "/api/v1/users/\xff",
    "/api/v1/users/\xc3\xa9",
    "/api/v1/users/\xed\xa0\x80",
    "/docs/",
    "/docs/../wsgi.py",
    "/docs/\x00",
    "/.well-known/jwks.json/",
    "/.git/config",
)


def test_a_path_has_one_spelling(alice: Caller) -> None:
    for path in PATHS:
        response = alice.get("/", environ_overrides={"PATH_INFO": path})
        assert response.status_code in (400, 404), path
        assert_problem(response, response.status_code, response.get_json()["code"])
        assert "Location" not in response.headers


@both_databases
def test_text_that_a_database_cannot_hold_is_no_parameter_of_a_path(admin: Caller) -> None:
    assert_problem(admin.get("/api/v1/roles/us%00er"), 400, "malformed_request")
    for name in ("us%ff", "%ed%a0%80", "%c0%af"):
        response = admin.get(f"/api/v1/roles/{name}")
        assert_problem(response, 404, response.get_json()["code"])


@pytest.mark.parametrize(
    "target",
    ["/api/v1/users%2Fme", "/api/v1/users%2fme", "/docs%2fswagger-ui.css", "/healthz%2F"],
)
def test_an_encoded_slash_separates_nothing(alice: Caller, target: str) -> None:
    assert_problem(alice.get(target), 404, "not_found")


def test_a_slash_in_the_query_is_no_part_of_the_path(client: FlaskClient) -> None:
    assert client.get("/healthz?next=%2Fdocs").status_code == 200


def test_a_request_for_a_websocket_is_refused(alice: Caller) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket"}
    assert 400 <= alice.get(ME, headers=headers).status_code < 500


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *[(host, 200) for host in ("", "a b", "[::1", "a:b:c", "/x", "\xff")],
        *[(host, 400) for host in ("a" * 300, "a..b")],
    ],
)
def test_no_host_makes_it_fail(client: FlaskClient, host: str, status: int) -> None:
    assert client.get("/healthz", headers={"Host": host}).status_code == status


def test_a_failure_is_explained_in_the_log_alone(app: Flask, client: FlaskClient, log: Log) -> None:
    def fail() -> None:
        raise RuntimeError("the flux is out of tune")

    add_probe(app, fail)
    headers = {"X-Correlation-ID": "failing-1"}
    response = client.post(PROBE, json={}, headers=headers)
    problem = assert_problem(response, 500, "internal_error")
    assert "flux" not in problem["detail"]

    failed, request = log()
    assert (failed["level"], failed["logger"]) == ("ERROR", "authserve.http.errors")
    assert failed["correlation_id"] == request["correlation_id"] == "failing-1"
    assert failed["exc_info"].startswith("Traceback")
    assert failed["exc_info"].endswith("RuntimeError: the flux is out of tune")
    assert (request["status"], request["code"]) == (500, "internal_error")


@both_databases
def test_a_failing_statement_reveals_no_parameters(
    app: Flask, client: FlaskClient, log: Log
) -> None:
    def fail() -> None:
        with db.engine.connect() as connection:
            connection.execute(text("SELECT 1 FROM nowhere WHERE a = :a"), {"a": PASSWORD})

    add_probe(app, fail)
    response = client.get(PROBE)
    # SQLite cannot distinguish a missing table from a database that is not ready.
    code = "service_unavailable" if response.status_code == 503 else "internal_error"
    assert_problem(response, response.status_code, code)
    failed, _ = log()
    assert "nowhere" in failed["exc_info"]
    assert PASSWORD not in str(failed)


def test_a_failing_call_logs_neither_token_nor_password(app: Flask, log: Log) -> None:
    def fail() -> None:
        raise RuntimeError

    add_probe(app, fail)
    cookie_client(app).post(
        f"{PROBE}?token=query-token",
        json={"password": PASSWORD},
        headers={"Authorization": "Bearer header-token", "Cookie": "a=cookie-token"},
    )
    headers = {"Authorization": "Bearer header-token", "Cookie": "a=cookie-token"}
    cookie_client(app).get(PROBE, headers=headers)
    written = str(log())
    assert "internal_error" in written
    assert not [
        s for s in (PASSWORD, "header-token", "query-token", "cookie-token") if s in written
    ]


def test_a_statement_that_breaks_a_rule_of_the_database_is_a_fault(
    app: Flask, client: FlaskClient
) -> None:
    def fail() -> None:
        raise IntegrityError("INSERT", {}, Exception("uq_users_email"))

    add_probe(app, fail)
    assert_problem(client.get(PROBE), 500, "internal_error")


def retry_after(response: object) -> int:
    return int(response.headers["Retry-After"])  # type: ignore[attr-defined]


@both_databases
def test_a_database_that_is_gone_gets_503(
    alice: Caller, client: FlaskClient, lose_database: Callable[[], None], log: Log
) -> None:
    lose_database()
    log()
    for response in (
        alice.get(ME),
        alice.patch(ME, json={"display_name": "Alice"}),
        register(client, "bob"),
    ):
        assert_problem(response, 503, "service_unavailable")
        assert RETRY_AFTER_RANGE_SECS[0] <= retry_after(response) <= RETRY_AFTER_RANGE_SECS[1]
    told = [line for line in log() if line["event"] == "database unavailable"]
    assert len(told) == 3
    assert {line["level"] for line in told} == {"ERROR"}


def test_a_pool_without_a_free_connection_is_unavailable(app: Flask, client: FlaskClient) -> None:
    engine = create_engine(
        "sqlite://", poolclass=QueuePool, pool_size=1, max_overflow=0, pool_timeout=0
    )

    def wait_in_vain() -> None:
        with engine.connect(), engine.connect():
            pass

    add_probe(app, wait_in_vain)
    response = client.get(PROBE)
    assert_problem(response, 503, "service_unavailable")
    assert retry_after(response) >= 1
    engine.dispose()


def test_a_connection_that_breaks_is_unavailable(app: Flask, client: FlaskClient) -> None:
    def fail() -> None:
        raise InterfaceError("SELECT", {}, Exception("closed"), connection_invalidated=True)

    add_probe(app, fail)
    assert_problem(client.get(PROBE), 503, "service_unavailable")


class TooManyProbesError(ThrottledError):
    code = "too_many_probes"
    default_detail = "That is enough."


@pytest.mark.parametrize(("told", "sent"), [(30, 30), (1, 1), (0, 1), (-5, 1)])
def test_retry_after_is_a_whole_second_at_least(
    app: Flask, client: FlaskClient, told: int, sent: int
) -> None:
    def refuse() -> None:
        raise TooManyProbesError(retry_after_secs=told)

    add_probe(app, refuse)
    response = client.get(PROBE)
    assert_problem(response, 429, "too_many_probes")
    assert retry_after(response) == sent


def test_callers_of_an_unavailable_service_are_spread(app: Flask, client: FlaskClient) -> None:
    def refuse() -> None:
        raise UnavailableError

    add_probe(app, refuse)
    assert len({retry_after(client.get(PROBE)) for _ in range(200)}) == 8


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 413, 415, 418, 500, 503])
def test_what_the_framework_refuses_is_a_problem(
    app: Flask, client: FlaskClient, status: int
) -> None:
    add_probe(app, lambda: abort(status, description=" ".join(INTERNALS)))
    response = client.get(PROBE)
    assert_problem(response, status, response.get_json()["code"])
    assert ("WWW-Authenticate" in response.headers) is (status == 401)
    assert ("Retry-After" in response.headers) is (status == 503)
