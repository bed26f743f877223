"""The request that exchanges a code, and the errors that answer it (RFC 6749 §4.1.3, §5.2).

It is pure.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import quote, urlencode

from authserve.core.frozen import frozen
from authserve.core.outbound import OutboundRequest

_EXPECTED_ERRORS = frozenset(
    {
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "bad_verification_code",
        "incorrect_client_credentials",
        "redirect_uri_mismatch",
    }
)
"""Codes of RFC 6749 §5.2 and of GitHub, which the operator's log may show."""


@frozen(kw_only=True)
class Exchange:
    """A code, with the values that its provider compares.

    Args:
        verifier: of PKCE (RFC 7636).
    """

    client_id: str
    client_secret: str = field(repr=False)
    code: str = field(repr=False)
    verifier: str = field(repr=False)
    redirect_uri: str


def code_request(endpoint: str, exchange: Exchange, *, takes_basic: bool) -> OutboundRequest:
    """Return the request that exchanges a code.

    Args:
        takes_basic: False if the client's credentials have to be in the body.
    """
    fields = {
        "grant_type": "authorization_code",
        "code": exchange.code,
        "redirect_uri": exchange.redirect_uri,
        "code_verifier": exchange.verifier,
    }
    headers = {
        "Accept": "application/json",
        "Content-Type": "application/x-www-form-urlencoded",
    }
    if takes_basic:
        headers["Authorization"] = _basic(exchange.client_id, exchange.client_secret)
    else:
        fields |= {"client_id": exchange.client_id, "client_secret": exchange.client_secret}
    body = urlencode(fields).encode()
    return OutboundRequest(url=endpoint, method="POST", headers=headers, body=body)


def read_error(document: Mapping[str, Any]) -> str:
    """Return the code of a refusal if it is a known one; other text could be anything."""
    error = str(document.get("error"))
    return error if error in _EXPECTED_ERRORS else "another error"


def _basic(client_id: str, secret: str) -> str:
    """Return the credentials, encoded as a form before they are joined (RFC 6749 §2.3.1)."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {b64encode(pair.encode()).decode()}"
