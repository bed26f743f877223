"""Names and attributes of the cookies of pages. It is small because each cookie has its own module.

On https a name has the prefix `__Host-`: browsers then accept the cookie from this host alone, and
only with Secure and `Path=/` (ASVS 3.3.1).
"""

from flask import Response

from authserve.settings.model import SETTINGS


def cookie_name(base: str, *, prefix: str = "__Host-", is_secure: bool | None = None) -> str:
    """Return the name of a cookie, with its prefix on https.

    Args:
        is_secure: True on https; None for the service's own host.
    """
    return f"{prefix}{base}" if _is_secure(is_secure) else base


def set_cookie(
    response: Response,
    name: str,
    value: str,
    *,
    max_age: int | None,
    is_secure: bool | None = None,
) -> None:
    """Set a cookie. Lax, so that a link in a mail finds its reader signed in (design).

    Args:
        name: from `cookie_name`.
        max_age: in seconds; 0 removes it, None keeps it until the browser is closed.
        is_secure: see `cookie_name`.
    """
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        path="/",
        secure=_is_secure(is_secure),
        httponly=True,
        samesite="Lax",
    )


def _is_secure(is_secure: bool | None) -> bool:
    return is_secure if is_secure is not None else SETTINGS.get().public_url.startswith("https:")
