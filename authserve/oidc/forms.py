"""Bodies and credentials of OAuth's calls: strict forms, and one way of authentication."""

import re
from base64 import b64decode
from collections.abc import Mapping
from urllib.parse import unquote_plus

from flask import Request

from authserve.clients.authentication import ClientCredentials
from authserve.core.errors import AuthserveError, PayloadTooLargeError
from authserve.http.json_body import FORM_TYPE, parse_form, read_body, require_media_type
from authserve.oidc.errors import OAuthCode, OAuthError, invalid_client

MAX_FIELDS = 50
"""Limits the fields of a form, known or not (chosen: the specifications name some 20)."""

_BASIC = re.compile(r"basic +([A-Za-z0-9+/]{1,500}={0,2})", re.IGNORECASE)


def read_oauth_form(request: Request) -> dict[str, str]:
    """Return the fields of a call's form; unknown ones are ignored by callers (RFC 6749 §3.2).

    Raises:
        OAuthError: `invalid_request`: no form, or a field twice.
        PayloadTooLargeError: the body is larger than 64 KiB.
    """
    try:
        require_media_type(request, FORM_TYPE)
        fields = parse_form(read_body(request), max_fields=MAX_FIELDS)
    except PayloadTooLargeError:
        raise
    except AuthserveError as error:
        code = OAuthCode.INVALID_REQUEST
        raise OAuthError(code, "Send a form, with each field once.") from error
    # An empty value counts as absent (RFC 6749 §3.2).
    return {name: value for name, value in fields.items() if value}


def read_credentials(request: Request, fields: Mapping[str, str]) -> ClientCredentials:
    """Return what a client presents: by Basic or in the form, never both (RFC 6749 §2.3).

    Raises:
        OAuthError: `invalid_request` for two ways; `invalid_client` for none.
    """
    header = request.headers.get("Authorization")
    in_form = fields.get("client_id"), fields.get("client_secret")
    if header is None:
        if in_form[0] is None:
            raise invalid_client()
        return ClientCredentials(client_id=in_form[0], secret=in_form[1])
    client_id, secret = _read_basic(header)
    if in_form[1] is not None or in_form[0] not in (None, client_id):
        raise OAuthError(OAuthCode.INVALID_REQUEST, "Authenticate the client in one way.")
    return ClientCredentials(client_id=client_id, secret=secret)


def _read_basic(header: str) -> tuple[str, str]:
    """Return id and secret, each decoded as a field of a form (RFC 6749 §2.3.1).

    Neither needs escaping, by their alphabets, and most clients escape nothing; others escape every
    character but letters and digits.
    """
    found = _BASIC.fullmatch(header)
    try:
        text = b64decode(found[1], validate=True).decode("ascii") if found else ""
    except ValueError as error:
        raise invalid_client() from error
    client_id, colon, secret = text.partition(":")
    if not colon:
        raise invalid_client()
    return unquote_plus(client_id), unquote_plus(secret)
