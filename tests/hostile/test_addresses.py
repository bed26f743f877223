"""Paths, queries and methods: every operation, addressed in every wrong way."""

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from authserve.audit.schemas import CORRELATION_ID_PATTERN
from authserve.http.fields import PLAIN_TEXT_PATTERN
from authserve.http.openapi import API_PREFIX
from tests.hostile.conftest import MARK, Range, assert_refused
from tests.support.marks import both_databases, on_postgresql

SEGMENTS = {
    "a NUL": f"{MARK}\x00",
    "half a surrogate pair": "\xed\xa0\x80",
    "no UTF-8": "\xff\xfe",
    "a line end": f"{MARK}\r\nX-Injected: 1",
    "an escape sequence": f"\x1b[31m{MARK}",
    "SQL": f"' OR '1'='1' -- {MARK}",
    "a format": "%s%n{0}{settings}${7*7}",
    "a dot": ".",
    "two dots": "..",
    "a backslash": f"..\\{MARK}",
    "a parameter": f"{MARK};a=b",
    "a tilde": "~root",
    "a wildcard": "*",
    "a space": " ",
    "a percent sign": "%",
    "encoded twice": "%2e%2e",
    "a right-to-left override": "\u202e".encode().decode("latin-1"),
    "four thousand letters": "x" * 4_000,
    "a negative number": "-1",
    "nothing but zeros": "0",
    "null": "null",
    "undefined": "undefined",
}


def forged_ids(real: str) -> Iterator[tuple[str, str]]:
    """Yield ids of no account, and spellings that only resemble an id."""
    yield "of version 4", str(uuid4())
    yield "nil", "00000000-0000-0000-0000-000000000000"
    yield "max", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    yield "in braces", f"{{{real}}}"
    yield "a URN", f"urn:uuid:{real}"
    yield "without hyphens", real.replace("-", "")
    yield "with a space", f"{real} "
    yield "with a line end", f"{real}\n"
    yield "twice", real * 2
    yield "cut", real[:-1]
    yield "in other digits", real.replace("0", "٠").encode().decode("latin-1")


def wrong_segments(range_: Range, name: str, schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    yield from SEGMENTS.items()
    if schema.get("format") == "uuid":
        yield from forged_ids(str(range_.victim.id))


@on_postgresql
def test_no_path_parameter_finds_what_it_does_not_name(range_: Range) -> None:
    for operation in range_.operations:
        for name, schema in operation.path_parameters.items():
            for kind, segment in wrong_segments(range_, name, schema):
                path = range_.path_of(operation, **{name: segment})
                response = range_.send(operation, path=path, json=operation.example or None)
                assert_refused(response, (400, 404), (str(operation), name, kind))
    range_.assert_nothing_came_of_it()


def test_an_id_is_the_same_in_either_letter_case(range_: Range) -> None:
    """RFC 9562 §4: case-insensitive on input."""
    response = range_.open("GET", f"/api/v1/users/{str(range_.victim.id).upper()}")
    assert response.get_json()["id"] == str(range_.victim.id)


def variants(path: str) -> Iterator[tuple[str, str]]:
    """Other spellings of a path, as the application is handed them, and as they were sent."""
    head, _, tail = path.rpartition("/")
    spellings = [
        f"{path}/",
        f"/{path}",
        f"//{path}",
        f"{head}//{tail}",
        f"{head}/./{tail}",
        f"{head}/x/../{tail}",
        f"{path}/.",
        f"{path}/..",
        f"{path};a=b",
        f"{head};a=b/{tail}",
        f"{path}\x00",
        f"{path}\n",
        f"{path} ",
        f"{path}\\",
        f"{path}.json",
        f"{path}~",
        path.replace("/", "\\"),
        path.upper(),
        path.lstrip("/"),
        f"http:{path}",
        "",
        "*",
    ]
    yield from ((spelling, spelling) for spelling in spellings)
    # What a server has decoded once: the slash was not one when it came.
    yield path, f"{head}%2F{tail}"
    yield path, f"{head}%2f{tail}"


def test_every_path_has_one_spelling(range_: Range) -> None:
    for operation in range_.operations:
        if operation.path.startswith(API_PREFIX):
            for path, sent in variants(range_.path_of(operation)):
                environ = {"PATH_INFO": path, "RAW_URI": sent}
                response = range_.send(operation, environ=environ, json=operation.example or None)
                assert_refused(response, (400, 404, 405), (str(operation), sent))
    range_.assert_nothing_came_of_it()


METHODS = (
    *("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"),
    *("TRACE", "CONNECT", "PROPFIND", "PURGE", "LINK", "DEBUG", "PRI"),
    *("GETT", "G", "X" * 20, "GET\r\nX: 1", "G\x00T", f"{MARK}\x1b[2J"),
)


def test_every_path_has_the_methods_of_the_document_and_no_others(range_: Range) -> None:
    paths = {operation.path: range_.path_of(operation) for operation in range_.operations}
    for template, path in paths.items():
        declared = {op.method for op in range_.operations if op.path == template}
        declared |= {"HEAD"} if "GET" in declared else set()
        for method in METHODS:
            if method not in declared:
                response = range_.open(method, path)
                assert response.status_code == 405, (method, path)
                # The answer to HEAD has no body.
                if method != "HEAD":
                    assert_refused(response, [405], (method, path))
                assert {"GET", "HEAD"} & declared <= set(response.headers["Allow"].split(", "))
    range_.assert_nothing_came_of_it()


def test_no_header_or_parameter_makes_a_method_another(range_: Range) -> None:
    overrides = ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "_method")
    for operation in range_.operations:
        if operation.method == "GET" or not operation.path.startswith(API_PREFIX):
            continue
        path, method = range_.path_of(operation), operation.method
        has_get = any(o.method == "GET" and o.path == operation.path for o in range_.operations)
        response = range_.open("GET", path, headers=dict.fromkeys(overrides, method))
        assert response.status_code == (200 if has_get else 405), str(operation)
        query = {"QUERY_STRING": f"_method={method}"}
        assert_refused(range_.open("GET", path, environ=query), (405, 422), str(operation))
    range_.assert_nothing_came_of_it()


NUMBERS = ["0", "-1", "201", "1e1", "1.0", "+1", " 1", "1 ", "0x1", "01e", "NaN", "1_0", "٣", "²"]
NUMBERS += ["9" * 30, "9" * 3_000, "true", "null", ""]
TIMES = ["", "now", "0", "2026-11-23", "2026-11-23T06:49:48", "2026-13-01T00:00:00Z", "NaN"]
TIMES += ["0000-00-00T00:00:00Z", "99999-01-01T00:00:00Z", "2026-11-23T06:49:48+99:99", "1" * 3_000]
ID = "01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f"
IDS = ["", "0", "x", f"{{{ID}}}", f"urn:uuid:{ID}", ID.replace("-", ""), ID[:-1], ID * 2]
IDS += [f"{ID} ", f"{ID}\n", "x" * 3_000, "' OR 1=1 --"]
BOOLEANS = ["", "2", "maybe", "null", "truefalse", "x" * 3_000]

UNREADABLE_QUERIES = {
    "a NUL": "%00",
    "a NUL in the middle": f"{MARK}%00x",
    "half a surrogate pair": "%ed%a0%80",
    "no UTF-8": "%ff",
    "an overlong form": "%c0%af",
    "bytes above ASCII": "\xff",
}


def wrong_parameters(schema: dict[str, Any]) -> list[str]:
    """Values that are wrong for a parameter, encoded."""
    if schema.get("type") == "integer":
        found = NUMBERS
    elif schema.get("type") == "boolean":
        found = BOOLEANS
    elif schema.get("format") == "date-time":
        found = TIMES
    elif schema.get("format") == "uuid":
        found = IDS
    elif "enum" in schema:
        found = ["", MARK, "x" * 3_000, schema["enum"][0].upper()]
    elif schema.get("pattern") == CORRELATION_ID_PATTERN:
        found = ["", "x" * 65, "x" * 3_000, "a b", "a/b", "a\n", "ä"]
    elif schema.get("pattern", PLAIN_TEXT_PATTERN) != PLAIN_TEXT_PATTERN:
        return list(forged_cursors())
    else:
        found = ["x" * (schema["maxLength"] + 1), "x" * 3_000, ""]
    return [
        value.encode().hex(" ").replace(" ", "%").join(("%", "")) if value else ""
        for value in found
    ]


def forged_cursors() -> Iterator[str]:
    """Cursors of no list at all."""
    real = urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")
    yield from ("", "x", "=", "%2e%2e", "0", "null", "-1", real[:-1], f"{real}=", f"{real}%3D%3D")
    yield from (f"{real}A", f"%20{real}", f"{real}%0A", f"{real[:-1]}%C3%A9", real * 200)
    yield b64encode(b"\xff" * 16).decode().rstrip("=").replace("/", "%2F").replace("+", "%2B")
    yield urlsafe_b64encode(b"\x00" * 15).decode()
    yield urlsafe_b64encode(b"' OR '1'='1").decode()
    yield urlsafe_b64encode(b"a\x00b").decode().rstrip("=") + "%21"


@on_postgresql
def test_no_parameter_takes_what_it_is_not_for(range_: Range) -> None:
    tried = 0
    for operation in range_.operations:
        for name, schema in operation.query.items():
            wrong = [*UNREADABLE_QUERIES.values(), *wrong_parameters(schema)]
            for value in wrong:
                tried += 1
                query = {"QUERY_STRING": f"{name}={value}"}
                response = range_.send(operation, environ=query)
                assert_refused(response, (400, 422), (str(operation), query))
    assert tried > 300
    range_.assert_nothing_came_of_it()


def test_no_parameter_is_taken_twice_or_unknown(range_: Range) -> None:
    for operation in range_.operations:
        if not operation.path.startswith(API_PREFIX):
            continue
        queries = [f"{MARK}=1", "=", "&=&", "access_token=x", "_method=DELETE", "limit[]=1", "%"]
        queries += [
            f"limit.{MARK}=1",
            "limit[$gt]=1",
            "__proto__[x]=1",
            ";".join("ab"),
            "a" * 3_000,
        ]
        for name in operation.query:
            queries += [f"{name}=1&{name}=2", f"{name}=1&%{ord(name[0]):02x}{name[1:]}=1"]
            queries += [f"{name.upper()}=1", f"{name}%00=1", f"{name}[]=1"]
        for query in queries:
            response = range_.send(
                operation, environ={"QUERY_STRING": query}, json=operation.example or None
            )
            problem = response.get_json()
            names = problem.pop("errors", {})  # They are the caller's own words.
            assert response.status_code in (400, 422), (str(operation), query)
            assert MARK not in str(problem), names
    range_.assert_nothing_came_of_it()


LIST_ORDERS = {
    "/api/v1/roles": "name",
    "/api/v1/clients": "name",
    "/api/v1/identity-providers": "name",
    "/api/v1/users": "moment",
    "/api/v1/users/me/events": "moment",
    "/api/v1/audit-events": "moment",
}

LAST_KEYS = {
    "name": b"user",
    "id": b"\xff" * 16,
    "moment": b"\xff" * 24,
}


@both_databases
def test_a_cursor_of_another_list_is_refused_or_grants_nothing(range_: Range) -> None:
    lists = [operation for operation in range_.operations if "cursor" in operation.query]
    assert len(lists) > 4
    for operation in lists:
        for order, key in LAST_KEYS.items():
            cursor = urlsafe_b64encode(key).decode().rstrip("=")
            response = range_.send(operation, environ={"QUERY_STRING": f"cursor={cursor}"})
            if order == LIST_ORDERS.get(operation.path, "id"):
                assert response.status_code == 200
                everything = range_.send(operation).get_json()["items"]
                assert all(item in everything for item in response.get_json()["items"])
            else:
                assert_refused(response, [422], (str(operation), cursor))
    range_.assert_nothing_came_of_it()
