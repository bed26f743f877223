import io
import json
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from authserve.core.errors import AuthserveError, MalformedRequestError
from authserve.http.json_body import MAX_BODY_BYTES, MAX_INTEGER, parse_form, parse_json
from tests.support.clients import PASSWORD, Caller, login, register
from tests.support.marks import both_databases
from tests.support.problems import assert_problem

LOGIN = "/api/v1/auth/login"
REGISTER = "/api/v1/auth/register"
INTROSPECT = "/api/v1/auth/introspect"
BODY = json.dumps({"identifier": "alice", "password": PASSWORD}).encode()

MALFORMED = {
    "nothing after the content type": b" ",
    "half of it": b'{"identifier": "alice"',
    "two values": b"{} {}",
    "a trailing comma": b'{"identifier": "alice",}',
    "a comment": b'{/**/"identifier": "alice"}',
    "single quotes": b"{'identifier': 'alice'}",
    "a bare NUL": b"\x00",
    "a control character in a string": b'{"identifier": "a\x01"}',
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": BODY.decode().encode("utf-16"),
    "UTF-16 without a mark": BODY.decode().encode("utf-16-le"),
    "Latin-1": '{"identifier": "é"}'.encode("latin-1"),
    "a surrogate in UTF-8": b'{"identifier": "\xed\xa0\x80"}',
    "an overlong form": b'{"identifier": "\xc0\xaf"}',
    "an array": b"[]",
    "null": b"null",
    "a string": b'"alice"',
    "a number": b"1",
    "true": b"true",
    "the same key twice": b'{"identifier": "alice", "identifier": "bob", "password": "x"}',
    "the same key in two spellings": b'{"identifier": "alice", "\\u0069dentifier": "bob"}',
    "the same key twice inside": b'{"identifier": {"a": 1, "a": 2}}',
    "the same key twice in a list": b'{"identifier": [[{"a": 1, "a": 1}]]}',
    "NaN": b'{"identifier": NaN}',
    "Infinity": b'{"identifier": Infinity}',
    "minus Infinity": b'{"identifier": -Infinity}',
    "a number beyond floats": b'{"identifier": 1e999}',
    "a negative number beyond floats": b'{"identifier": -1e999}',
    "an integer of 20 digits": b'{"identifier": 10000000000000000000}',
    "an integer of 60,000 digits": b'{"identifier": ' + b"1" * 60_000 + b"}",
    "33 levels": b"[" * 33 + b"]" * 33,
    "2,000 levels": b'{"identifier": ' + b"[" * 2_000 + b"]" * 2_000 + b"}",
    "30,000 levels": b"[" * 30_000 + b"]" * 30_000,
    "2,000 objects in each other": b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
}


@pytest.mark.parametrize("raw", MALFORMED.values(), ids=MALFORMED.keys())
def test_it_refuses_what_is_no_strict_json_object(client: FlaskClient, raw: bytes) -> None:
    for path in (LOGIN, REGISTER):
        response = client.post(path, data=raw, content_type="application/json")
        assert_problem(response, 400, "malformed_request")


UNSTORABLE = {
    "a NUL": "\x00",
    "a NUL inside": "alice\x00",
    "a high surrogate": "\ud800",
    "a low surrogate": "a\udc00",
    "a pair the wrong way round": "\udc00\ud800",
}


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE.keys())
def test_it_refuses_text_that_a_database_cannot_hold(client: FlaskClient, text: str) -> None:
    bodies: list[dict[str, Any]] = [
        {"identifier": text, "password": PASSWORD},
        {"identifier": "alice", "password": text},
        {"identifier": "alice", "password": PASSWORD, text: "x"},
        {"identifier": ["alice", {"deeper": text}], "password": PASSWORD},
    ]
    for body in bodies:
        response = client.post(LOGIN, data=json.dumps(body), content_type="application/json")
        assert_problem(response, 400, "malformed_request")
    for field in ("email", "username", "password", "display_name"):
        assert_problem(register(client, "alice", **{field: text}), 400, "malformed_request")


@both_databases
def test_it_takes_text_beyond_the_first_plane(client: FlaskClient) -> None:
    # json.dumps writes the two halves of a surrogate pair, which belong together.
    response = register(client, "alice", display_name="Alice 🐇")
    assert response.status_code == 201
    assert response.get_json()["display_name"] == "Alice 🐇"


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "text/json",
        "application/problem+json",
        "application/vnd.api+json",
        "application/jsonp",
        "application/json, text/plain",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=utf-8; charset=utf-16",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
def test_it_refuses_other_content_types(client: FlaskClient, content_type: str | None) -> None:
    for path in (LOGIN, REGISTER):
        response = client.post(path, data=BODY, content_type=content_type)
        assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=UTF-8", 'Application/JSON;charset="utf-8"'],
)
def test_it_takes_json_in_utf8(client: FlaskClient, content_type: str) -> None:
    register(client, "alice")
    assert client.post(LOGIN, data=BODY, content_type=content_type).status_code == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity, gzip"])
def test_it_refuses_compressed_bodies(client: FlaskClient, encoding: str) -> None:
    headers = {"Content-Encoding": encoding}
    response = client.post(LOGIN, data=BODY, content_type="application/json", headers=headers)
    assert_problem(response, 415, "unsupported_media_type")


def test_it_takes_a_body_with_the_identity_encoding(client: FlaskClient) -> None:
    register(client, "alice")
    headers = {"Content-Encoding": "Identity"}
    response = client.post(LOGIN, data=BODY, content_type="application/json", headers=headers)
    assert response.status_code == 200


def test_a_call_that_needs_a_body_refuses_none(client: FlaskClient) -> None:
    for path in (LOGIN, REGISTER):
        for kwargs in ({}, {"content_type": "application/json"}, {"data": b""}):
            assert_problem(client.post(path, **kwargs), 400, "malformed_request")  # type: ignore[arg-type]


def test_it_names_each_unknown_field(client: FlaskClient) -> None:
    response = register(client, "alice", role="admin", is_active=True)
    problem = assert_problem(response, 422, "validation_failed")
    assert problem["errors"] == {"role": ["Unknown field."], "is_active": ["Unknown field."]}


def test_it_takes_no_number_for_a_text(client: FlaskClient) -> None:
    problem = assert_problem(login(client, 5), 422, "validation_failed")  # type: ignore[arg-type]
    assert problem["errors"] == {"identifier": ["Not a valid string."]}


def test_a_call_without_a_body_refuses_fields(alice: Caller) -> None:
    problem = assert_problem(
        alice.get("/api/v1/users/me", json={"user_id": 5}), 422, "validation_failed"
    )
    assert problem["errors"] == {"user_id": ["Unknown field."]}


def test_a_call_without_a_body_takes_an_empty_one(alice: Caller) -> None:
    assert alice.get("/api/v1/users/me", json={}).status_code == 200
    assert chunked(alice.client, "/api/v1/auth/logout-all", b"").status_code == 401
    assert alice.post("/api/v1/auth/logout-all", data=b"").status_code == 204


def padded(size: int) -> bytes:
    """A good login of `size` bytes: JSON allows space around it."""
    return BODY + b" " * (size - len(BODY))


def stream(client: FlaskClient, path: str, body: Any, **environ: Any) -> TestResponse:
    """POST an input stream, as from a server that knows the body's end."""
    environ |= {"wsgi.input": body, "wsgi.input_terminated": True}
    return client.post(path, content_type="application/json", environ_overrides=environ)


def chunked(client: FlaskClient, path: str, raw: bytes) -> TestResponse:
    """POST in chunks."""
    return stream(client, path, io.BytesIO(raw), HTTP_TRANSFER_ENCODING="chunked")


def test_it_takes_64_kib_and_not_a_byte_more(client: FlaskClient) -> None:
    register(client, "alice")
    full, over = padded(MAX_BODY_BYTES), padded(MAX_BODY_BYTES + 1)
    assert MAX_BODY_BYTES == 65_536

    def post(raw: bytes) -> TestResponse:
        return client.post(LOGIN, data=raw, content_type="application/json")

    assert post(full).status_code == 200
    assert_problem(post(over), 413, "payload_too_large")
    assert chunked(client, LOGIN, full).status_code == 200
    assert_problem(chunked(client, LOGIN, over), 413, "payload_too_large")
    assert_problem(chunked(client, LOGIN, over * 20), 413, "payload_too_large")


class UnreadableBody(io.RawIOBase):
    """The input stream of a server after a chunk with a wrong size."""

    def read(self, size: int = -1, /) -> bytes:
        raise RuntimeError("an error of the server's own")


def test_it_refuses_a_body_that_the_server_cannot_read(client: FlaskClient) -> None:
    response = stream(client, LOGIN, UnreadableBody(), HTTP_TRANSFER_ENCODING="chunked")
    assert_problem(response, 400, "malformed_request")


def test_it_reads_no_byte_of_a_body_announced_as_too_long(client: FlaskClient) -> None:
    response = stream(client, LOGIN, UnreadableBody(), CONTENT_LENGTH=str(MAX_BODY_BYTES + 1))
    assert_problem(response, 413, "payload_too_large")


def test_it_refuses_a_body_that_was_cut_off(client: FlaskClient) -> None:
    register(client, "alice")
    response = stream(client, LOGIN, io.BytesIO(BODY), CONTENT_LENGTH=str(len(BODY) + 1))
    assert_problem(response, 400, "malformed_request")


def test_32_levels_are_deep_enough() -> None:
    assert parse_json(b"[" * 32 + b"]" * 32)
    with pytest.raises(MalformedRequestError, match="deeper than 32"):
        parse_json(b'{"a":' + b"[" * 32 + b"]" * 32 + b"}")


def test_integers_reach_as_far_as_64_bits() -> None:
    assert parse_json(str(MAX_INTEGER).encode()) == MAX_INTEGER == 2**63 - 1
    assert parse_json(str(-MAX_INTEGER).encode()) == -MAX_INTEGER
    for beyond in (MAX_INTEGER + 1, -MAX_INTEGER - 1):
        with pytest.raises(MalformedRequestError, match="out of range"):
            parse_json(str(beyond).encode())


def test_an_equal_key_elsewhere_is_no_second_one() -> None:
    nested = {"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}
    assert parse_json(json.dumps(nested).encode()) == nested


def test_a_form_is_for_introspection_alone(admin: Caller) -> None:
    token = admin.tokens["access_token"]
    assert admin.post(INTROSPECT, data={"token": token}).get_json()["active"] is True
    response = admin.client.post(LOGIN, data={"identifier": "admin", "password": PASSWORD})
    assert_problem(response, 415, "unsupported_media_type")


def test_a_form_is_as_strict_as_json(admin: Caller) -> None:
    form = "application/x-www-form-urlencoded"
    for raw in (b"token=a&token=b", b"token", b"token=%00", b"token=%ff", b"token=\xff", b"&"):
        response = admin.post(INTROSPECT, data=raw, content_type=form)
        assert_problem(response, 400, "malformed_request")
    response = admin.post(INTROSPECT, data=b"token=a&scope=b", content_type=form)
    assert_problem(response, 422, "validation_failed")
    response = admin.post(INTROSPECT, data=b"token=a", content_type=f"{form}; charset=latin-1")
    assert_problem(response, 415, "unsupported_media_type")


def test_a_form_has_no_crowd_of_fields() -> None:
    assert parse_form(b"a=1&b=%C3%A9+x") == {"a": "1", "b": "é x"}
    with pytest.raises(AuthserveError):
        parse_form(b"&".join(b"%d=1" % number for number in range(11)))


QUERIES = {
    "x=1": (422, "validation_failed"),
    "=": (422, "validation_failed"),
    "access_token=x": (422, "validation_failed"),
    "a=1&a=2": (422, "validation_failed"),
    "a=1;b=2": (422, "validation_failed"),
    "%00=1": (400, "malformed_request"),
    "x=%00": (400, "malformed_request"),
    "x=%ff": (400, "malformed_request"),
    "x=\xff": (400, "malformed_request"),
    "x=%ed%a0%80": (400, "malformed_request"),
}


@pytest.mark.parametrize("query", QUERIES)
def test_it_refuses_undeclared_query_parameters(alice: Caller, query: str) -> None:
    status, code = QUERIES[query]
    overrides = {"QUERY_STRING": query}
    for method in ("GET", "HEAD"):
        response = alice.call(method, "/api/v1/users/me", environ_overrides=overrides)
        assert response.status_code == status
    response = alice.get("/api/v1/users/me", environ_overrides=overrides)
    assert_problem(response, status, code)


def test_it_names_a_query_parameter_that_is_given_twice(alice: Caller) -> None:
    response = alice.get("/api/v1/users/me/sessions?limit=1&limit=2")
    problem = assert_problem(response, 422, "validation_failed")
    assert problem["errors"] == {"limit": ["Given more than once."]}


def test_it_names_an_unknown_query_parameter_of_a_call_that_has_others(alice: Caller) -> None:
    response = alice.get("/api/v1/users/me/sessions?limit=1&page=2")
    problem = assert_problem(response, 422, "validation_failed")
    assert problem["errors"] == {"page": ["Unknown field."]}


def test_a_lone_question_mark_is_no_query(alice: Caller) -> None:
    assert alice.get("/api/v1/users/me?").status_code == 200
