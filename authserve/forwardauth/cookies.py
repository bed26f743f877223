"""The two cookies of a proxied application's host: its session, and its sign-ins in progress.

It is small because both views and pages need it.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from authserve.auth.browser_sessions import SECRET_BYTES, BrowserCookie
from authserve.core.base64url import decode_base64url, encode_base64url
from authserve.forwardauth.sign_in import STATE_TTL
from authserve.web.browser_session import read_cookie, write_cookie
from authserve.web.cookies import cookie_name, set_cookie

if TYPE_CHECKING:
    from flask import Response

_APP, _FLOW = "authserve-app", "authserve-app-flow"


def has_app_cookie(cookies: Mapping[str, str], origin: str) -> bool:
    """Return True if the browser sends the cookie of the application, valid or not."""
    return _name(_APP, origin) in cookies


def read_app_cookie(cookies: Mapping[str, str], origin: str) -> BrowserCookie | None:
    """Return the content of the cookie of the application at an origin, or None without one."""
    return read_cookie(cookies.get(_name(_APP, origin), ""))


def hold_app_cookie(response: "Response", origin: str, cookie: BrowserCookie | None) -> None:
    """Give the browser the cookie of the application's session; None removes it.

    It ends when the browser is closed. While the browser's session at this service lives, a new
    cookie needs no page.
    """
    value, max_age = (write_cookie(cookie), None) if cookie is not None else ("", 0)
    _set(response, _APP, origin, value, max_age)


def read_flow_secret(cookies: Mapping[str, str], origin: str) -> bytes | None:
    """Return the secret that binds sign-ins to the browser, or None without one."""
    text = cookies.get(_name(_FLOW, origin), "")
    try:
        secret = decode_base64url(text)
    except ValueError:
        return None
    return secret if len(secret) == SECRET_BYTES else None


def hold_flow_secret(response: "Response", origin: str, secret: bytes) -> None:
    """Give the browser the secret that binds its sign-ins."""
    value = encode_base64url(secret)
    _set(response, _FLOW, origin, value, int(STATE_TTL.total_seconds()))


def _set(response: "Response", base: str, origin: str, value: str, max_age: int | None) -> None:
    name, is_secure = _name(base, origin), _is_secure(origin)
    set_cookie(response, name, value, max_age=max_age, is_secure=is_secure)


def _name(base: str, origin: str) -> str:
    return cookie_name(base, is_secure=_is_secure(origin))


def _is_secure(origin: str) -> bool:
    # Not that of `PUBLIC_URL`: the host is the application's.
    return origin.startswith("https:")
