"""HTML pages with forms for the API, for deployments whose front end has none.

A GET of a page changes nothing, since mail scanners follow links too. The token is in the link's
fragment, which browsers do not send; the page's script reads it and calls the API like any other
client.
"""

import re
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, send_from_directory

from authserve.passwords.policy import LONG_LENGTH
from authserve.settings.brand import brand_name
from authserve.settings.model import SETTINGS

blueprint = Blueprint("pages", __name__, template_folder="templates")

STATIC_FOLDER = Path(__file__).parent / "static"

TOKEN = re.compile(r"[A-Za-z0-9_-]{64}")
"""The form of the token in every link: 48 bytes in base64url."""

ASSETS = {"pages.css", "pages.js", "icon.svg"}

HEADERS = {
    # The browser itself must never submit a form, or a password could end up in a query string.
    # Trusted Types limit the script to inserting text (ASVS 3.2.2).
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}


@blueprint.get("/verify-email")
def verify_email() -> Response:
    """Return the page that verifies an address, with the account's password."""
    return _page("verify_email.html")


@blueprint.get("/reset-password")
def reset_password() -> Response:
    """Return the page that resets a forgotten password."""
    return _page("reset_password.html")


@blueprint.get("/confirm-email")
def confirm_email() -> Response:
    """Return the page that confirms a new address, with the account's password."""
    return _page("confirm_email.html")


@blueprint.get("/accept-invitation")
def accept_invitation() -> Response:
    """Return the page on which an invited user chooses a password and names."""
    return _page("accept_invitation.html")


@blueprint.get("/first-administrator")
def first_administrator() -> Response:
    """Return the page that creates the first account, an administrator."""
    return _page("first_administrator.html")


@blueprint.get(
    "/<any('verify-email', 'reset-password', 'confirm-email', 'accept-invitation', "
    "'first-administrator'):page>#<token>"
)
def escaped_fragment(page: str, token: str) -> Response:
    """Redirect to the page of a link that a mail program escaped: `%23` instead of `#`.

    After the redirect the browser no longer sends the token. Text that is not a token is removed.
    """
    fragment = f"#{token}" if TOKEN.fullmatch(token) else ""
    # Relative, so that it works behind a proxy that strips a prefix.
    return Response(status=303, headers={**HEADERS, "Location": f"{page}{fragment}"})


@blueprint.get("/pages/<name>")
def asset(name: str) -> Response:
    """Return the pages' script, style sheet or icon."""
    if name not in ASSETS:
        abort(404)
    return send_from_directory(STATIC_FOLDER, name)


def _page(template: str) -> Response:
    """Return a page; it contains nothing from the request, so every caller gets the same."""
    settings = SETTINGS.get()
    html = render_template(
        template,
        service=brand_name(settings),
        min_length=settings.password_min_length,
        long_length=LONG_LENGTH,
    )
    return Response(html, mimetype="text/html", headers=HEADERS)
