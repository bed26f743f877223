"""Bodies: every operation that takes one, every field of it, each in every wrong way."""

import gzip
import json
from collections.abc import Iterator
from typing import Any

from tests.hostile.conftest import MARK, Range, assert_refused
from tests.support.operations import Operation

DEEP = "[" * 40 + "]" * 40

UNSTORABLE = {
    "a NUL": rf'"{MARK}\u0000"',
    "a high surrogate": rf'"{MARK}\ud800"',
    "a low surrogate": rf'"\udfff{MARK}"',
}
UNREADABLE = {
    "NaN": "NaN",
    "Infinity": "-Infinity",
    "a float beyond floats": "1e999",
    "an integer beyond 64 bits": "9223372036854775808",
    "an integer of 5,000 digits": "9" * 5_000,
    "a number with a leading zero": "01",
    "forty levels": DEEP,
    "forty levels of objects": '{"a":' * 40 + "1" + "}" * 40,
    "a key twice, inside": '{"a": 1, "a": 2}',
    "a NUL inside": r'[{"a": ["\u0000"]}]',
    "a key that holds a surrogate": r'{"\ud800": 1}',
    "nothing": "",
    "a bare word": MARK,
    "a control character": f'"{MARK}\x01"',
}
"""JSON texts that are no value at all, or one that cannot be stored."""

WRONG_TYPES = {
    "string": {
        "an integer": "1",
        "a float": "1.5",
        "true": "true",
        "an array": f'["{MARK}"]',
        "an object": f'{{"{MARK}": "{MARK}"}}',
        "an operator": f'{{"$ne": "{MARK}"}}',
        "null": "null",
        "an empty array": "[]",
    },
    "boolean": {
        "one": "1",
        "zero": "0",
        "the word": '"true"',
        "yes": '"yes"',
        "null": "null",
        "an array": "[true]",
        "an object": "{}",
    },
    "object": {
        "a string": f'"{MARK}"',
        "a number": "1",
        "true": "true",
        "null": "null",
        "an array": "[]",
        "an empty object": "{}",
        "an object of wrong members": f'{{"id": 1, "{MARK}": {{}}, "response": [[]]}}',
    },
    "integer": {
        "a string": '"1"',
        "a fraction": "1.5",
        "true": "true",
        "null": "null",
        "below every bound": "-1",
        "above every bound": "99999999999999999999",
        "an array": "[1]",
        "an object": "{}",
    },
    "array": {
        "a string": f'"{MARK}"',
        "a number": "1",
        "true": "true",
        "null": "null",
        "an object": f'{{"0": "{MARK}"}}',
        "numbers": "[1]",
        "nulls": "[null]",
        "arrays": "[[]]",
        "objects": "[{}]",
        "far too many": json.dumps([MARK] * 500),
        "a NUL": r'["\u0000"]',
    },
}


def wrong_values(schema: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """JSON texts that are wrong for a field, each with what it is."""
    yield from UNREADABLE.items()
    yield from UNSTORABLE.items()
    # An object of its own is a reference, which has no type.
    kind = schema.get("type", "object")
    kinds = kind if isinstance(kind, list) else [kind]
    for name, text in WRONG_TYPES[kinds[0]].items():
        if not (text == "null" and "null" in kinds):
            yield name, text
    if "maxLength" in schema:
        yield "too long", json.dumps(MARK.ljust(schema["maxLength"] * 5, "x"))
    if "pattern" in schema:
        yield "out of its pattern", json.dumps(f"\u202e{MARK} '\";--\x1b[31m")
    if schema.get("format") == "email":
        yield "no address", json.dumps(f"{MARK}@example.com\r\nBcc: a@example.com")


def body_with(operation: Operation, field: str, text: str) -> bytes:
    """The example with `text` in the place of a field's value."""
    members = {name: json.dumps(value) for name, value in operation.example.items()}
    members[field] = text
    joined = ", ".join(f"{json.dumps(name)}: {value}" for name, value in members.items())
    return f"{{{joined}}}".encode()


def operations_with_body(range_: Range) -> list[Operation]:
    found = [operation for operation in range_.operations if operation.body is not None]
    assert len(found) > 15
    return found


def test_no_field_takes_what_it_is_not_for(range_: Range) -> None:
    for operation in operations_with_body(range_):
        for field, schema in operation.fields.items():
            for name, text in wrong_values(schema):
                raw = body_with(operation, field, text)
                response = range_.send(operation, data=raw, content_type="application/json")
                assert_refused(response, (400, 422), (str(operation), field, name))
    range_.assert_nothing_came_of_it()


def broken_bodies(operation: Operation) -> Iterator[tuple[str, bytes]]:
    """The example, spoilt as a whole."""
    example = operation.example or {"surprise": True}
    good = json.dumps(example).encode()
    name, value = next(iter(example.items()))
    yield "a field twice", good[:-1] + f", {json.dumps(name)}: {json.dumps(value)}}}".encode()
    escaped = "".join(f"\\u{ord(letter):04x}" for letter in name)
    yield "a field twice, spelt in two ways", good[:-1] + f', "{escaped}": 1}}'.encode()
    for unknown in ("role", "is_admin", "__proto__", "constructor", "id", "", "a.b", "$where"):
        yield f"{unknown} as well", good[:-1] + f', "{unknown}": "{MARK}"}}'.encode()
    yield "UTF-16", good.decode().encode("utf-16")
    yield "UTF-32", good.decode().encode("utf-32-le")
    yield "UTF-7", b"+AHs-" + good[1:]
    yield "a byte order mark", b"\xef\xbb\xbf" + good
    yield "Latin-1", good[:-1] + f', "é": "{MARK}"}}'.encode("latin-1")
    yield "an overlong form", good[:-1] + b', "\xc0\xaf": 1}'
    yield "in an array", b"[" + good + b"]"
    yield "in a string", json.dumps(good.decode()).encode()
    yield "one after the other", good + good
    yield "a NUL after it", good + b"\x00"
    yield "cut off", good[:-1]
    yield "JSON5", good[:-1] + b",}"
    yield "a comment", b"/**/" + good
    yield "30,000 levels", b"[" * 30_000 + b"]" * 30_000
    yield "30,000 levels that do not end", b'{"a":' * 10_000
    yield "compressed all the same", gzip.compress(good)


def test_no_operation_takes_a_body_that_two_readers_could_read_in_two_ways(range_: Range) -> None:
    for operation in operations_with_body(range_):
        for name, raw in broken_bodies(operation):
            response = range_.send(operation, data=raw, content_type="application/json")
            assert_refused(response, (400, 422), (str(operation), name))
    range_.assert_nothing_came_of_it()


def test_an_operation_without_a_body_refuses_fields(range_: Range) -> None:
    bodies = [b'{"a": 1}', b'{"user_id": "x"}', b"[]", b"null", b'"x"', b"{", b"\x00"]
    for operation in range_.operations:
        if operation.body is None and operation.path.startswith("/api/"):
            for raw in bodies:
                response = range_.send(operation, data=raw, content_type="application/json")
                assert_refused(response, (400, 422), (str(operation), raw))
    range_.assert_nothing_came_of_it()


OTHER_TYPES = [
    None,
    "",
    "json",
    "text/plain",
    "text/html",
    "application/xml",
    "application/json-patch+json",
    "application/vnd.authserve+json",
    "application/problem+json",
    "multipart/form-data; boundary=x",
    "multipart/form-data",
    "application/octet-stream",
    "application/json, application/json",
    "application/json; charset=utf-16",
    "application/json; charset=utf-7",
    "application/json; charset=iso-8859-1",
    "application/json; charset=x" + "x" * 4_000,
    "application/json\x00",
    "application/jsonп".encode().decode("latin-1"),
    "*/*",
    ";" * 4_000,
    f'{MARK}/{MARK}; a="',
    "application/x-www-form-urlencoded; charset=utf-16",
]


def test_no_operation_takes_another_content_type_than_json(range_: Range) -> None:
    for operation in operations_with_body(range_):
        raw = json.dumps(operation.example).encode()
        for content_type in OTHER_TYPES:
            environ = {} if content_type is None else {"CONTENT_TYPE": content_type}
            response = range_.send(operation, data=raw, environ=environ)
            assert_refused(response, [415], (str(operation), content_type))
    range_.assert_nothing_came_of_it()


BOMB = gzip.compress(b"[" + b" " * 2**26 + b"]")
"""64 MiB of JSON in 64 KiB."""


def test_nothing_is_ever_inflated(range_: Range) -> None:
    assert len(BOMB) < 70_000
    for operation in operations_with_body(range_):
        for encoding in ("gzip", "x-gzip", "deflate", "br", "zstd", "gzip, gzip", MARK, "*"):
            headers = {"Content-Encoding": encoding}
            response = range_.send(
                operation, data=BOMB[:60_000], content_type="application/json", headers=headers
            )
            assert_refused(response, [415], (str(operation), encoding))
    range_.assert_nothing_came_of_it()
