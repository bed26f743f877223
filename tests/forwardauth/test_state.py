"""What a browser brings back to an application's host, beyond what journeys show."""

from typing import Any

import pytest
from flask import Flask

from authserve.core.actor import RequestInfo
from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.forwardauth.check import sign_out
from authserve.forwardauth.cookies import read_flow_secret
from authserve.forwardauth.queries import find_proxied_session
from authserve.forwardauth.sign_in import STATE, STATE_TTL, read_state
from authserve.tokens.signing import sign
from authserve.web.browser_session import read_cookie
from tests.forwardauth.conftest import APP, FLOW, ORIGIN, Browser
from tests.support.browsing import ORIGIN as SERVICE
from tests.support.rows import audit_trail


@pytest.mark.parametrize(
    ("path", "found"),
    [("/page", "/page"), ("//evil.example", "/"), ("/.authserve/sign-out", "/")],
)
def test_a_signed_path_is_checked_again(app: Flask, path: str, found: str) -> None:
    claims: dict[str, Any] = {"sub": str(new_id()), "path": path, "challenge": "x"}
    with app.app_context():
        token = sign(
            STATE,
            claims,
            public_url=SERVICE,
            issued_at=now(),
            expires_at=now() + STATE_TTL,
            token_id=new_id(),
        )
        assert read_state(token, now=now()).path == found


@pytest.mark.parametrize("length", [0, 31, 32, 33])
def test_a_secret_has_one_length(length: int) -> None:
    secret = bytes(length)
    found = read_flow_secret({FLOW: encode_base64url(secret)}, ORIGIN)
    assert found == (secret if length == 32 else None)


def test_a_session_that_has_ended_meanwhile_stays_so(files: Browser) -> None:
    cookie = read_cookie(files.cookies[APP])
    assert cookie is not None
    with files.app.app_context():
        session = find_proxied_session(cookie.session_id, ORIGIN)
        assert session is not None
        sign_out(session, request=RequestInfo())
        ended = audit_trail(files.app, "session.revoked")
        sign_out(session, request=RequestInfo())
    assert audit_trail(files.app, "session.revoked") == ended != []
