"""The origin of a form: only a page of this service may send one.

No cookie is needed for it, so the form to sign in never expires (design; OWASP, Cross-Site Request
Forgery Prevention cheat sheet, "Fetch Metadata" and "Verifying Origin").
"""

import logging
import re
from urllib.parse import urlsplit

from flask import Response, request

from authserve.core.errors import ForbiddenError
from authserve.core.frozen import frozen
from authserve.settings.model import SETTINGS
from authserve.settings.return_urls import LOOPBACK_HOSTS
from authserve.settings.urls import browser_origin

logger = logging.getLogger(__name__)

_PORT = re.compile(r":[0-9]+\Z")


class ForeignFormError(ForbiddenError):
    """A form that did not come from a page of this service."""

    code = "foreign_form"
    default_detail = "This form did not come from a page of this service. Nothing was changed."


@frozen()
class FormOrigin:
    """A browser's statement about the page that sent a form.

    Args:
        origin: of the header `Origin`; None if it is absent or `null`.
        site: of the header `Sec-Fetch-Site`; None if it is absent.
    """

    origin: str | None
    site: str | None

    @property
    def is_unknown(self) -> bool:
        """True if the browser says nothing: it is old, or the page had no referrer."""
        return self.origin is None and self.site is None

    def is_own(self, public_origin: str) -> bool:
        """Return True if one header says that the page is the service's, and none denies it.

        `same-site` is refused: a sub-domain is a stranger.
        """
        is_site_own = self.site in (None, "same-origin")
        is_origin_own = self.origin in (None, public_origin)
        return is_site_own and is_origin_own and not self.is_unknown


def read_form_origin() -> FormOrigin:
    """Return what the request's headers say."""
    origin = request.headers.get("Origin")
    return FormOrigin(
        origin=None if origin == "null" else origin, site=request.headers.get("Sec-Fetch-Site")
    )


def public_origin() -> str:
    """Return the origin of `PUBLIC_URL` as browsers send it; never the request's host."""
    return browser_origin(urlsplit(SETTINGS.get().public_url))


def require_own_form(*, accepts_unknown: bool) -> None:
    """Refuse a form of a foreign page, before its body is read.

    Args:
        accepts_unknown: True for the pages of mailed links: they send no referrer, so an old
            browser says nothing, and the link's token is the proof.

    Raises:
        ForeignFormError: the form is foreign.
    """
    found = read_form_origin()
    if found.is_own(public_origin()) or (accepts_unknown and found.is_unknown):
        return
    extra = {"origin": found.origin, "site": found.site, "expected": public_origin()}
    logger.warning("form of a foreign page", extra=extra)
    raise ForeignFormError


def redirect_to_public_name() -> Response | None:
    """Redirect a page that was asked for under another loopback name, outside production.

    Cookies, forms and passkeys belong to one name. A link's fragment survives the redirect.
    """
    settings = SETTINGS.get()
    if settings.is_production or request.method not in ("GET", "HEAD"):
        return None
    asked, public = urlsplit(f"//{request.host}"), urlsplit(settings.public_url)
    if _is_other_loopback(request.host, public.netloc) and asked.port == public.port:
        target = request.full_path.rstrip("?")
        headers = {"Location": f"{settings.public_url}{target}", "Cache-Control": "no-store"}
        return Response(status=302, headers=headers)
    return None


def _is_other_loopback(host: str, public_host: str) -> bool:
    asked, public = (_PORT.sub("", name) for name in (host, public_host))
    return asked != public and {asked, public} <= LOOPBACK_HOSTS
