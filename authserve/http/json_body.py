"""Strict parsing of bodies, before any handler runs.

Python's JSON parser accepts more than RFC 8259 does (NaN, duplicate keys, other encodings), and
raises RecursionError on deep nesting. Attackers exploit parsers that disagree (ASVS 1.5.3), so
input that two parsers could read differently is refused.
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
"""Limits a body's bytes and its levels of nesting; both numbers are the contract's. No call needs a
hundredth of the first or a tenth of the second."""

MAX_INTEGER = 2**63 - 1
"""Largest signed 64-bit integer; no call needs more, and databases fail above it (ASVS 1.4.2)."""

MAX_FORM_FIELDS = 10
"""Limits the fields of a form under `/api/`: the one call there that accepts a form has one field,
and RFC 7662 §2.1 names a second."""

_MAX_INTEGER_LENGTH = len(str(-MAX_INTEGER))

JSON_TYPE = "application/json"
FORM_TYPE = "application/x-www-form-urlencoded"


def read_object(request: Request, *, accepts_form: bool) -> dict[str, Any] | None:
    """Return the JSON object in the body of `request`, or the fields of a form.

    Args:
        accepts_form: True if the call takes a form as well.

    Returns:
        None if the body is empty.

    Raises:
        UnsupportedMediaTypeError, PayloadTooLargeError: see `require_media_type`, `read_body`.
        MalformedRequestError: neither a JSON object nor a form.
    """
    raw = read_body(request)
    if not raw:
        return None
    require_media_type(request, JSON_TYPE, *([FORM_TYPE] if accepts_form else []))
    body = parse_form(raw) if request.mimetype == FORM_TYPE else parse_json(raw)
    if not isinstance(body, dict):
        raise MalformedRequestError("The body is not a JSON object.")
    return body


def read_body(request: Request) -> bytes:
    """Return the body of `request`, with a Content-Length or in chunks.

    Raises:
        PayloadTooLargeError: the body is larger than 64 KiB.
        MalformedRequestError: the body does not match its framing (cut off, a broken chunk).
    """
    length = request.content_length
    if length is not None and length > MAX_BODY_BYTES:
        raise PayloadTooLargeError
    # Werkzeug stops at its limit without an error: one byte more shows that the body is too large.
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
    """Refuse a body that has no accepted media type, is not UTF-8, or is compressed.

    Raises:
        UnsupportedMediaTypeError: one of these, or the media type is missing.
    """
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype not in accepted or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaTypeError
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaTypeError("Send the body uncompressed.")


def parse_form(raw: bytes, *, max_fields: int = MAX_FORM_FIELDS) -> dict[str, str]:
    """Return the fields of a form.

    Args:
        max_fields: greatest number of fields.

    Raises:
        MalformedRequestError: not a form in UTF-8, a duplicate field, or text that `check_text`
            refuses.
    """
    try:
        pairs = parse_qsl(
            raw.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=max_fields,
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
        MalformedRequestError: not RFC 8259 in UTF-8; duplicate keys; more than 32 levels; a number
            out of range; text that `check_text` refuses.
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
    # Check the length first: the cost of converting grows with its square.
    if len(digits) > _MAX_INTEGER_LENGTH or abs(value := int(digits)) > MAX_INTEGER:
        raise MalformedRequestError("A number is out of range.")
    return value


def _check(value: Any) -> None:
    """Check all texts and the depth, without recursion: deep input must not exhaust the stack."""
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
    """Refuse text that PostgreSQL cannot store or UTF-8 cannot encode.

    Raises:
        MalformedRequestError: a NUL character or half a surrogate pair.
    """
    if "\x00" in text:
        raise MalformedRequestError("A text holds a NUL character.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise MalformedRequestError("A text holds half a surrogate pair.") from error
