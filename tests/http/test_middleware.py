import logging
import threading
from collections.abc import Callable
from datetime import datetime

import pytest
from flask import Flask, Response, request, session
from flask.sessions import SecureCookieSessionInterface
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserve.core.logs import correlation_id_var
from authserve.health.drain import DRAIN
from tests.conftest import Log
from tests.support.clients import PASSWORD, Caller, login, register
from tests.support.crowd import DEADLINE_SECS
from tests.support.headers import CONTENT_SECURITY_POLICY, SECURITY_HEADERS
from tests.support.probes import PROBE, add_probe, cookie_client
from tests.support.problems import assert_problem

ME = "/api/v1/users/me"

HARMLESS = ["a", "A-b_c.9", "x" * 64, "019ab0c4-7c1a-7d3b-9f3e-3a5b6c7d8e9f", "-", "..."]
HARMFUL = ["", " ", "x" * 65, "a b", "a\tb", "a,b", "é", "<script>", "a;b", "%00", 'a"b', "a/b"]


def correlation_id(response: TestResponse) -> str:
    (value,) = response.headers.getlist("X-Correlation-ID")
    return value


class TestCorrelationID:
    @pytest.mark.parametrize("value", HARMLESS)
    def test_it_is_the_callers_if_harmless(self, client: FlaskClient, log: Log, value: str) -> None:
        for name in ("X-Correlation-ID", "x-request-id"):
            response = client.get(ME, headers={name: value})
            assert correlation_id(response) == value
            assert response.get_json()["correlation_id"] == value
            assert [line["correlation_id"] for line in log()] == [value]

    @pytest.mark.parametrize("value", HARMFUL)
    def test_it_is_made_anew_if_not(self, client: FlaskClient, log: Log, value: str) -> None:
        for name in ("X-Correlation-ID", "X-Request-ID"):
            response = client.get(ME, headers={name: value})
            made = correlation_id(response)
            assert made != value
            assert made.isalnum()
            assert response.get_json()["correlation_id"] == made
            assert [line["correlation_id"] for line in log()] == [made]

    def test_the_first_header_goes_before_the_second(self, client: FlaskClient) -> None:
        headers = {"X-Correlation-ID": "one", "X-Request-ID": "two"}
        assert correlation_id(client.get("/healthz", headers=headers)) == "one"

    def test_two_headers_are_none(self, client: FlaskClient) -> None:
        headers = [("X-Correlation-ID", "one"), ("X-Correlation-ID", "two")]
        assert correlation_id(client.get("/healthz", headers=headers)) not in ("one", "two")

    def test_no_two_requests_share_one_that_was_made(self, client: FlaskClient) -> None:
        assert len({correlation_id(client.get("/healthz")) for _ in range(20)}) == 20

    def test_it_does_not_outlive_its_request(self, app: Flask, client: FlaskClient) -> None:
        """The thread continues; its next lines belong to no request, or to another one."""
        seen: list[str | None] = []
        add_probe(app, lambda: seen.append(correlation_id_var.get()) or {})
        client.get(PROBE, headers={"X-Correlation-ID": "first"})
        seen.append(correlation_id_var.get())
        made = correlation_id(client.get(PROBE))
        assert seen == ["first", None, made]

    def test_concurrent_requests_have_their_own(self, app: Flask, log: Log) -> None:
        barrier = threading.Barrier(2, timeout=DEADLINE_SECS)

        def meet() -> dict[str, str]:
            barrier.wait()
            logging.getLogger("authserve.probe").info("met", extra={"at": request.args["at"]})
            barrier.wait()
            return {}

        add_probe(app, meet, rule="/probe")

        def visit(name: str) -> None:
            app.test_client().get(f"/probe?at={name}", headers={"X-Correlation-ID": name})

        threads = [threading.Thread(target=visit, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lines = [line for line in log() if line["event"] == "met"]
        assert {(line["correlation_id"], line["at"]) for line in lines} == {
            ("one", "one"),
            ("two", "two"),
        }


def test_a_request_knows_nothing_of_the_one_before_in_its_context(
    app: Flask, alice: Caller, log: Log
) -> None:
    client = app.test_client()
    log()
    with app.app_context():
        assert alice.get(ME).status_code == 200
        assert_problem(client.get(ME), 401, "authentication_required")
        assert client.post("/api/v1/auth/login", json={}).status_code == 422
        response = client.post("/api/v1/auth/login")
        assert "needs a JSON body" in assert_problem(response, 400, "malformed_request")["detail"]
        assert client.get("/.well-known/jwks.json").status_code == 200
    lines = [line for line in log() if line["event"] == "request"]
    assert [line["user_id"] for line in lines] == [str(alice.id), None, None, None, None]
    assert "code" not in lines[-1]


EVERY_STATUS: dict[int, Callable[[Caller], TestResponse]] = {
    200: lambda alice: alice.get(ME),
    201: lambda alice: register(alice.client, "bob"),
    204: lambda alice: alice.post("/api/v1/auth/logout"),
    400: lambda alice: alice.client.post("/api/v1/auth/login"),
    401: lambda alice: alice.client.get(ME),
    403: lambda alice: alice.post("/api/v1/auth/introspect", json={"token": "x"}),
    404: lambda alice: alice.get("/api/v1/nowhere"),
    405: lambda alice: alice.post(ME),
    409: lambda alice: register(alice.client, "alice"),
    413: lambda alice: alice.patch(ME, data=b" " * 65_537),
    415: lambda alice: alice.patch(ME, data=b"x"),
    422: lambda alice: alice.patch(ME, json={"role": "admin"}),
    500: lambda alice: alice.get(f"{PROBE}/fail"),
}


def fail() -> None:
    raise RuntimeError


@pytest.mark.parametrize("status", EVERY_STATUS)
def test_every_answer_has_the_security_headers(make_app: Callable[..., Flask], status: int) -> None:
    app = make_app()
    add_probe(app, fail, rule=f"{PROBE}/fail")
    client = app.test_client()
    user = register(client, "alice").get_json()
    alice = Caller(client=client, user=user, tokens=login(client, "alice").get_json())
    response = EVERY_STATUS[status](alice)
    assert response.status_code == status
    for name, value in (
        *SECURITY_HEADERS.items(),
        ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
        ("Cache-Control", "no-store"),
    ):
        assert response.headers.getlist(name) == [value]
    assert ("WWW-Authenticate" in response.headers) is (status == 401)
    assert "Set-Cookie" not in response.headers
    assert "Vary" not in response.headers


@pytest.mark.parametrize(
    "path", ["/healthz", "/openapi.json", "/docs", "/nowhere", "/api", "/api/v2/users"]
)
def test_answers_outside_the_api_have_them_too_and_no_word_on_caches(
    client: FlaskClient, path: str
) -> None:
    headers = client.get(path).headers
    for name, value in SECURITY_HEADERS.items():
        assert headers.getlist(name) == [value]
    assert "Cache-Control" not in headers


def test_other_services_may_keep_the_public_keys(client: FlaskClient) -> None:
    headers = client.get("/.well-known/jwks.json").headers
    assert headers.getlist("Cache-Control") == ["public, max-age=300"]


@pytest.mark.parametrize("path", [ME, f"{ME}?x=1", "/api/v1/", "/api/v1/nowhere"])
def test_no_cache_keeps_anything_under_the_api(client: FlaskClient, path: str) -> None:
    assert client.get(path).headers.getlist("Cache-Control") == ["no-store"]


def test_a_view_cannot_make_an_answer_of_the_api_cacheable(app: Flask, client: FlaskClient) -> None:
    add_probe(app, lambda: Response("{}", headers={"Cache-Control": "public, max-age=60"}))
    assert client.get(PROBE).headers.getlist("Cache-Control") == ["no-store"]


def test_an_answer_without_content_names_no_type(client: FlaskClient) -> None:
    register(client, "alice")
    tokens = login(client, "alice").get_json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    response = client.post("/api/v1/auth/logout", headers=bearer)
    assert response.status_code == 204
    assert "Content-Type" not in response.headers


def test_no_cookie_is_read_or_set(app: Flask) -> None:
    cookie = SecureCookieSessionInterface().get_signing_serializer(app)
    assert cookie is not None
    add_probe(app, lambda: dict(session))
    add_probe(app, lambda: session.update(user="alice") or {}, rule=f"{PROBE}/write")

    headers = {"Cookie": f"session={cookie.dumps({'user': 'alice'})}"}
    client = cookie_client(app)
    assert client.get(PROBE, headers=headers).get_json() == {}
    response = client.get(f"{PROBE}/write", headers=headers)
    assert_problem(response, 500, "internal_error")
    assert "Set-Cookie" not in response.headers


class TestAccessLog:
    def test_a_request_is_one_line_with_all_that_matters(self, alice: Caller, log: Log) -> None:
        log()
        response = alice.get("/api/v1/users/me/sessions?limit=1")
        (line,) = log()
        assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
        assert line.pop("duration_ms") >= 0
        assert line == {
            "level": "INFO",
            "logger": "authserve.access",
            "event": "request",
            "correlation_id": correlation_id(response),
            "method": "GET",
            "route": "/api/v1/users/me/sessions",
            "status": 200,
            "user_id": str(alice.id),
        }

    def test_health_checks_that_go_well_are_no_lines(
        self, app: Flask, client: FlaskClient, log: Log
    ) -> None:
        log()
        for path in ("/healthz", "/readyz"):
            assert client.get(path).status_code == 200
        assert log() == []
        DRAIN.of(app).begin()
        assert client.get("/readyz").status_code == 503
        assert [line["route"] for line in log()] == ["/readyz"]

    def test_a_refusal_has_its_code(self, client: FlaskClient, log: Log) -> None:
        for path, route, status, code in (
            (ME, ME, 401, "authentication_required"),
            ("/nowhere", None, 404, "not_found"),
        ):
            client.get(path)
            (line,) = log()
            assert (line["route"], line["status"], line["code"]) == (route, status, code)
            assert line["user_id"] is None

    def test_a_forbidden_call_names_the_caller(self, alice: Caller, log: Log) -> None:
        log()
        alice.post("/api/v1/auth/introspect", json={"token": "x"})
        (line,) = log()
        assert (line["status"], line["user_id"]) == (403, str(alice.id))
        assert line["code"] == "insufficient_permissions"

    def test_a_path_parameter_stays_out(self, alice: Caller, log: Log) -> None:
        log()
        alice.delete(f"/api/v1/users/me/sessions/{alice.session_id}")
        request_line = log()[-1]
        assert request_line["route"] == "/api/v1/users/me/sessions/<uuid:session_id>"
        assert str(alice.session_id) not in str(request_line)

    def test_it_holds_no_credential(self, app: Flask, capfd: pytest.CaptureFixture[str]) -> None:
        client = cookie_client(app)
        register(client, "alice")
        tokens = login(client, "alice").get_json()
        login(client, "alice", "a wrong password")
        headers = {"Authorization": f"Bearer {tokens['access_token']}", "Cookie": "c=crumbs"}
        client.get(f"{ME}?token=in-the-query", headers=headers)
        client.get("/in-the-path", headers=headers)
        client.post("/api/v1/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        written = capfd.readouterr().out
        secrets = [PASSWORD, "wrong password", "crumbs", "in-the-query", "in-the-path"]
        secrets += [tokens["access_token"], tokens["refresh_token"], tokens["device_token"]]
        assert [secret for secret in secrets if secret in written] == []

    @pytest.mark.parametrize("forged", ["\n", "\r\n", "\u2028", "\x85", "\x0b", "\x1b[31m", '"}'])
    def test_nothing_forges_a_line(self, client: FlaskClient, log: Log, forged: str) -> None:
        line = f'{forged}{{"event": "forged"}}'.encode().decode("latin-1")
        client.get(
            "/",
            environ_overrides={
                "PATH_INFO": f"/nowhere{line}",
                "HTTP_USER_AGENT": line,
                "HTTP_X_CORRELATION_ID": line,
                "HTTP_X_FORWARDED_FOR": line,
                "REQUEST_METHOD": f"GET{line}",
            },
        )
        (found,) = log()
        assert found["event"] == "request"
