"""Reading a body strictly, before any handler runs.

Python's parser takes more than RFC 8259 does (NaN, duplicate keys, other encodings) and fails on
deep nesting with an error that nobody handles. Parsers that disagree are a way in (ASVS 1.5.3),
so whatever two of them could read differently is refused.
"""

import json
from collections.abc import Iterator
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from flask import Request

from authserve.core.errors import (
    MalformedRequestError,
    PayloadTooLargeError,
    UnsupportedMediaTypeError,
)

MAX_BODY_BYTES = 64 * 1024
MAX_DEPTH = 32
"""Both the contract's; no call needs a hundredth of the first or a tenth of the second."""

MAX_INTEGER = 2**63 - 1
"""A signed 64-bit integer; no call takes more, and databases fail beyond (ASVS 1.4.2)."""

MAX_FORM_FIELDS = 10
"""The one call that takes a form has one field; RFC 7662 §2.1 names a second."""

_MAX_INTEGER_LENGTH = len(str(-MAX_INTEGER))

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


def read_body(request: Request) -> bytes:
    """The body of `request`, whether its length was told or it comes in chunks.

    Raises:
        PayloadTooLargeError: over 64 KiB.
        MalformedRequestError: it is not what its framing says (cut off, a broken chunk).
    """
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise PayloadTooLargeError
    # Werkzeug stops reading at its limit without a word: one byte more tells that there is more.
    request.max_content_length = MAX_BODY_BYTES + 1
    try:
        raw = request.get_data()
    except Exception as error:
        raise MalformedRequestError("The body could not be read.") from error
    if len(raw) > MAX_BODY_BYTES:
        raise PayloadTooLargeError
    if length is not None and len(raw) != length:
        raise MalformedRequestError("The body is shorter than its Content-Length.")
    return raw


def require_media_type(request: Request, *accepted: str) -> None:
    """Refuse a body in another format than the accepted ones, in UTF-8 and uncompressed.

    Raises:
        UnsupportedMediaTypeError: it is in another, or says nothing about it.
    """
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in accepted or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaTypeError
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("Send the body uncompressed.")


def parse_form(raw: bytes) -> dict[str, str]:
    """The fields of a form, for the one call that RFC 7662 §2.1 gives one.

    Raises:
        MalformedRequestError: not a form in UTF-8, a field twice, or text that nobody can store.
    """
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )
    except ValueError as error:
        raise MalformedRequestError("The body is not a form.") from error
    found = dict(pairs)
    if len(found) != len(pairs):
        raise MalformedRequestError("The form has the same field twice.")
    for name, value in pairs:
        check_text(name)
        check_text(value)
    return found


def parse_json(raw: bytes) -> Any:
    """Parse strict JSON.

    Raises:
        MalformedRequestError: not RFC 8259 in UTF-8; duplicate keys; deeper than 32; a number
            out of range; a NUL or half a surrogate pair, which no database or hash takes.
    """
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
    # The length first: converting costs its square.
    if len(digits) > _MAX_INTEGER_LENGTH or abs(value := int(digits)) > MAX_INTEGER:
        raise MalformedRequestError("A number is out of range.")
    return value


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
