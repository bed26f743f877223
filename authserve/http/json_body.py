"""Reading a JSON body strictly, before any handler runs.

Python's parser takes more than RFC 8259 does (NaN, duplicate keys, other encodings) and fails on
deep nesting with an error that nobody handles. Parsers that disagree are a way in (ASVS 1.5.3),
so whatever two of them could read differently is refused.
"""

import json
from collections.abc import Iterator
from typing import Any, NoReturn

from flask import Request
from werkzeug.exceptions import RequestEntityTooLarge

from authserve.core.errors import (
    MalformedRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 32
"""Both the contract's; no call needs a hundredth of the first or a tenth of the second."""

MAX_INTEGER_DIGITS = 19
"""A signed 64-bit integer; no call takes more, and databases fail beyond (ASVS 1.4.2)."""


def read_json_body(request: Request) -> Any:
    """Parse the body of `request`.

    Raises:
        UnsupportedMediaTypeError: not `application/json`, another charset, or compressed.
        PayloadTooLargeError: over 64 KiB.
        MalformedRequestError: not RFC 8259 in UTF-8; duplicate keys; deeper than 32; a number
            out of range; a NUL or half a surrogate pair, which no database or hash takes.
    """
    _require_json_type(request)
    try:
        raw = request.get_data(cache=True)
    except RequestEntityTooLarge as error:
        raise PayloadTooLargeError from error
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLargeError
    return parse_json(raw)


def read_form(request: Request) -> dict[str, str]:
    """The fields of a form, for the one call that RFC 7662 §2.1 gives one.

    Raises:
        PayloadTooLargeError: over 64 KiB.
        MalformedRequestError: a field twice, or text that nobody can store.
    """
    try:
        found = request.form
    except RequestEntityTooLarge as error:
        raise PayloadTooLargeError from error
    for name, values in found.lists():
        if len(values) > 1:
            raise MalformedRequestError("The form has the same field twice.")
        check_text(name)
        check_text(values[0])
    return dict(found.items())


def _require_json_type(request: Request) -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaTypeError
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("Send the body uncompressed.")


def parse_json(raw: bytes) -> Any:
    """Parse strict JSON; see `read_json_body` for what is refused."""
    try:
        text = raw.decode("utf-8")
        value = json.loads(
            text,
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
            parse_float=_finite,
            parse_int=_bounded,
        )
    except UnicodeDecodeError as error:
        raise MalformedRequestError("The body is not UTF-8.") from error
    except RecursionError as error:
        raise MalformedRequestError(f"The body nests deeper than {MAX_DEPTH}.") from error
    except ValueError as error:
        raise MalformedRequestError("The body is not JSON.") from error
    _check(value)
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequestError("An object has the same key twice.")
    return found


def _refuse_constant(_name: str) -> NoReturn:
    raise MalformedRequestError("NaN and Infinity are not JSON.")


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise MalformedRequestError("A number is out of range.")
    return value


def _bounded(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise MalformedRequestError("A number is out of range.")
    return int(digits)


def _check(value: Any) -> None:
    """Walk without recursion, so that depth cannot hurt."""
    pending: list[tuple[Any, int]] = [(value, 1)]
    while pending:
        node, depth = pending.pop()
        if isinstance(node, str):
            check_text(node)
        elif isinstance(node, dict | list):
            if depth > MAX_DEPTH:
                raise MalformedRequestError(f"The body nests deeper than {MAX_DEPTH}.")
            pending.extend((child, depth + 1) for child in _children(node))


def _children(node: dict[str, Any] | list[Any]) -> Iterator[Any]:
    if isinstance(node, dict):
        yield from node.keys()
        yield from node.values()
    else:
        yield from node


def check_text(text: str) -> None:
    """Refuse text that PostgreSQL or UTF-8 cannot hold.

    Raises:
        MalformedRequestError: a NUL character or half a surrogate pair.
    """
    if "\x00" in text:
        raise MalformedRequestError("A text holds a NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedRequestError("A text holds half a surrogate pair.") from error
