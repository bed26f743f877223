"""The way from an application's host to authorize and back, with the state in between.

The state is a signed token in the URL, which holds the path to come back to. It is bound to this
browser by a secret in a cookie of the application's host, from which the verifier of PKCE follows
too. All tabs share the secret, so none takes another's place.
"""

from dataclasses import field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from authserve.auth.browser_sessions import SECRET_BYTES, BrowserCookie
from authserve.clients.configuration import PROXY_SCOPES
from authserve.clients.origins import callback_of
from authserve.clients.registry import RegisteredClient
from authserve.core.actor import RequestInfo
from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import digest, is_equal, random_bytes
from authserve.core.errors import UnauthenticatedError
from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.forwardauth.errors import SignInStateError
from authserve.forwardauth.policy import is_local_path
from authserve.oidc.authorize_request import MAX_QUERY_BYTES
from authserve.oidc.errors import OAuthError
from authserve.oidc.redeem import PresentedCode, make_challenge, redeem_for_cookie
from authserve.settings.model import SETTINGS
from authserve.tokens.signing import TokenKind, sign, verify

STATE = TokenKind(name="forward-auth-state", header_type="state+jwt", claims=("path", "challenge"))

STATE_TTL = timedelta(hours=1)
"""Lifetime of a state: that of the request to authorize, which it is part of (design)."""

LOOP_WINDOW = timedelta(seconds=10)
"""Time after a failure in which a second one ends the sign-in (design)."""

_NIL_SUBJECT = str(UUID(int=0))
"""`sub` of every state, since no user is known yet (RFC 9562 §5.9)."""

_AUTHORIZE_PATH = "/oauth/authorize"


@frozen()
class StartedSignIn:
    """A sign-in that has just begun.

    Args:
        location: the address at this service to which the browser goes.
        secret: of the cookie that binds the browser.
    """

    location: str
    secret: bytes = field(repr=False)


@frozen()
class FinishedSignIn:
    """A sign-in that succeeded.

    Args:
        path: at the application's host.
    """

    path: str
    cookie: BrowserCookie


@frozen(kw_only=True)
class State:
    """The content of a verified state.

    Args:
        flow_id: distinguishes the sign-ins of a browser.
        failed_at: the time of the failure after which it began; None for a first attempt.
    """

    flow_id: UUID
    path: str
    challenge: str
    failed_at: datetime | None


def begin_sign_in(
    client_id: str,
    *,
    origin: str,
    path: str,
    secret: bytes | None,
    now: datetime,
    is_retry: bool = False,
) -> StartedSignIn:
    """Return the way to authorize.

    Args:
        client_id: of the application.
        origin: of the application.
        path: to come back to, from `policy.return_path`.
        secret: that the browser holds already; None makes a new one.
        is_retry: True after a failure.
    """
    secret, flow_id = secret or random_bytes(SECRET_BYTES), new_id()
    challenge = make_challenge(_verifier(secret, flow_id))
    failure = {"failed_at": int(now.timestamp())} if is_retry else {}
    # A long host name leaves less room for the path.
    for each in (path, path.partition("?")[0], "/"):
        claims = {"path": each, "challenge": challenge, **failure}
        query = _query(client_id, origin, challenge, _sign(claims, flow_id, now))
        if len(query) <= MAX_QUERY_BYTES:
            break
    return StartedSignIn(f"{SETTINGS.get().public_url}{_AUTHORIZE_PATH}?{query}", secret)


def _query(client_id: str, origin: str, challenge: str, state: str) -> str:
    return urlencode(
        {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": callback_of(origin),
            "scope": " ".join(PROXY_SCOPES),
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "state": state,
        }
    )


def _sign(claims: dict[str, Any], flow_id: UUID, now: datetime) -> str:
    return sign(
        STATE,
        {"sub": _NIL_SUBJECT, **claims},
        public_url=SETTINGS.get().public_url,
        issued_at=now,
        expires_at=now + STATE_TTL,
        token_id=flow_id,
    )


def _verifier(secret: bytes, flow_id: UUID) -> str:
    """Return the verifier of a sign-in: 43 characters (RFC 7636 §4.1)."""
    return encode_base64url(digest(secret + flow_id.bytes))


def read_state(token: str, *, now: datetime) -> State:
    """Return what a state holds.

    Raises:
        SignInStateError: it is not one of this service, or has expired.
    """
    try:
        claims = verify(STATE, token, public_url=SETTINGS.get().public_url, now=now)
        flow_id, path = UUID(claims["jti"]), str(claims["path"])
    except (UnauthenticatedError, ValueError) as error:
        raise SignInStateError from error
    failed_at = claims.get("failed_at")
    return State(
        flow_id=flow_id,
        # Signed by this service, and checked again, like every address that a browser brings.
        path=path if is_local_path(path) else "/",
        challenge=str(claims["challenge"]),
        failed_at=datetime.fromtimestamp(failed_at, now.tzinfo) if failed_at else None,
    )


def finish_sign_in(
    client: RegisteredClient,
    *,
    origin: str,
    state: State,
    code: str,
    secret: bytes | None,
    request: RequestInfo,
) -> FinishedSignIn | StartedSignIn:
    """Redeem a code for the cookie of the application's host.

    Args:
        secret: that the browser's cookie holds; None without one.

    Returns:
        The finished sign-in. If cookie or code do not belong to the state, a new start: another tab
        may have come first, or the page was loaded again.

    Raises:
        SignInStateError: the sign-in before it failed like that within `LOOP_WINDOW`.
    """
    moment, verifier = now(), _verifier(secret, state.flow_id) if secret is not None else ""
    if is_equal(make_challenge(verifier).encode(), state.challenge.encode()):
        cookie = _redeem(client, origin, code, verifier, request)
        if cookie is not None:
            return FinishedSignIn(state.path, cookie)
    if state.failed_at is not None and moment - state.failed_at <= LOOP_WINDOW:
        raise SignInStateError(is_loop=True)
    return begin_sign_in(
        client.client_id,
        origin=origin,
        path=state.path,
        secret=secret,
        now=moment,
        is_retry=True,
    )


def _redeem(
    client: RegisteredClient, origin: str, code: str, verifier: str, request: RequestInfo
) -> BrowserCookie | None:
    presented = PresentedCode(
        code=code, verifier=verifier, redirect_uri=callback_of(origin), resource=None
    )
    secret = random_bytes(SECRET_BYTES)
    try:
        session_id = redeem_for_cookie(
            presented, client=client, cookie_digest=digest(secret), request=request
        )
    except OAuthError:
        return None
    return BrowserCookie(session_id, secret)
