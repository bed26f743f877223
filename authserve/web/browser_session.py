"""The browser behind a request: its session and its device tokens, from cookies and back.

`auth.browser_sessions` decides what a cookie holds.
"""

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass
from uuid import UUID

from flask import Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.auth.browser_sessions import (
    BrowserCookie,
    BrowserSession,
    DeadCookie,
    find_browser_session,
)
from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import KEYRING
from authserve.http.request_info import request_state
from authserve.settings.model import SETTINGS
from authserve.tokens.device import DEVICE_TOKEN_TTL, Device, issue_device_token, read_device_token
from authserve.web.cookies import cookie_name, set_cookie

SESSION_COOKIE = "authserve"
DEVICE_COOKIE = "authserve-device"

FORM_PURPOSE = "page-form"

MAX_DEVICES = 3
"""Limits the device tokens of a browser, one an account (design: a header of some 1,500 bytes)."""

_DEVICE_SEPARATOR = "~"
"""Separates tokens; base64url and the dots of a token do not hold it."""

_COOKIE = re.compile(r"([A-Za-z0-9_-]{21}[AQgw])\.([A-Za-z0-9_-]{42}[AEIMQUYcgkosw048])")
"""16 and 32 bytes in base64url without padding; the last letters have no unused bits."""


@dataclass(slots=True)
class BrowserState:
    """The session that a request's cookie was found to hold.

    Args:
        session: None if the browser is not signed in.
        is_dead: True if the cookie's session has ended, so that the answer removes the cookie.
    """

    session: BrowserSession | None = None
    is_dead: bool = False


def find_visitor() -> BrowserSession | None:
    """Return the live session of the browser, perhaps below the level that its account needs."""
    return _state().session


def find_signed_in() -> BrowserSession | None:
    """Return the session of the browser if it has the level that its account needs."""
    session = _state().session
    return session if session is not None and session.is_enough else None


def find_signed_in_if_possible() -> BrowserSession | None:
    """Return `find_signed_in()`, or None while the database cannot answer.

    So the form to sign in is shown during an outage too, and its answer explains the outage.
    """
    session = find_visitor_if_possible()
    return session if session is not None and session.is_enough else None


def find_visitor_if_possible() -> BrowserSession | None:
    """Return `find_visitor()`, or None for the rest of the request if the database cannot answer.

    So an outage is waited for once a page.
    """
    try:
        return find_visitor()
    except (DBAPIError, PoolTimeoutError):
        ignore_cookies()
        return None


def ignore_cookies() -> None:
    """Treat the browser as not signed in for the rest of the request."""
    request_state().browser = BrowserState()


def _state() -> BrowserState:
    state = request_state()
    if state.browser is None:
        state.browser = _read_state()
        if state.browser.session is not None:
            state.user_id = str(state.browser.session.account.id)
    found: BrowserState = state.browser
    return found


def _read_state() -> BrowserState:
    cookie = read_cookie(request.cookies.get(cookie_name(SESSION_COOKIE), ""))
    if cookie is None:
        return BrowserState()
    found = find_browser_session(cookie, now=now())
    if isinstance(found, DeadCookie):
        return BrowserState(is_dead=found is DeadCookie.ENDED)
    return BrowserState(session=found)


def read_cookie(value: str) -> BrowserCookie | None:
    """Return what a cookie's value carries, or None if it has another form."""
    found = _COOKIE.fullmatch(value)
    if found is None:
        return None
    session_id, secret = (urlsafe_b64decode(part + "==") for part in found.groups())
    return BrowserCookie(UUID(bytes=session_id), secret)


def write_cookie(cookie: BrowserCookie) -> str:
    """Return the value of a cookie."""
    parts = (cookie.session_id.bytes, cookie.secret)
    return ".".join(map(encode_base64url, parts))


def set_session(response: Response, cookie: BrowserCookie, *, is_remembered: bool) -> None:
    """Give the browser the cookie of its new session."""
    max_age = int(SETTINGS.get().sso_ttl.total_seconds()) if is_remembered else None
    set_cookie(response, cookie_name(SESSION_COOKIE), write_cookie(cookie), max_age=max_age)
    request_state().browser = BrowserState()


def renew_session(
    response: Response, session: BrowserSession, cookie: BrowserCookie | None
) -> None:
    """Give the browser the new cookie of its session; None leaves the one that it has."""
    if cookie is not None:
        set_session(response, cookie, is_remembered=session.is_remembered)


def remove_session(response: Response) -> None:
    """Make the browser forget the cookie of its session."""
    set_cookie(response, cookie_name(SESSION_COOKIE), "", max_age=0)
    request_state().browser = BrowserState()


def remove_dead_session(response: Response) -> Response:
    """Make the browser forget a cookie that the request found dead; called after each view."""
    state = request_state().browser
    if state is not None and state.is_dead:
        remove_session(response)
    return response


def device_tokens() -> list[str]:
    """Return the device tokens of the browser, the newest first; they are not verified."""
    tokens = request.cookies.get(_device_name(), "").split(_DEVICE_SEPARATOR)
    return [token for token in tokens[:MAX_DEVICES] if token]


def remember_device(response: Response, device: Device) -> None:
    """Add a device to those of the browser, in place of the same account's former one."""
    settings, moment = SETTINGS.get(), now()
    token = issue_device_token(device, public_url=settings.public_url, now=moment)
    kept = [token]
    for other in device_tokens():
        found = read_device_token(other, public_url=settings.public_url, now=moment)
        if found is not None and found.user_id != device.user_id:
            kept.append(other)
    value = _DEVICE_SEPARATOR.join(kept[:MAX_DEVICES])
    max_age = int(DEVICE_TOKEN_TTL.total_seconds())
    set_cookie(response, _device_name(), value, max_age=max_age)


def form_token(session: BrowserSession) -> str:
    """Return the token that forms of a signed-in browser carry.

    It is bound to the session's id, so that it stays over a rotation and dies with the session.
    """
    return KEYRING.get().mac(FORM_PURPOSE, session.cookie.session_id.bytes).hex()


def is_form_token(session: BrowserSession, token: str) -> bool:
    """Return True if a form's token is the session's."""
    try:
        mac = bytes.fromhex(token)
    except ValueError:
        return False
    return KEYRING.get().is_mac(FORM_PURPOSE, session.cookie.session_id.bytes, mac)


def _device_name() -> str:
    # `__Host-Http-` also promises that no script has set it (RFC 6265bis §4.1.3.4).
    return cookie_name(DEVICE_COOKIE, prefix="__Host-Http-")
