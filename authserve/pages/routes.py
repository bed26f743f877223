"""Forms in front of the API, for the people whose front end has none of its own.

A page takes nothing and changes nothing, however often it is fetched: programs that scan mail
follow links, too. The token is in the link's fragment, which browsers keep to themselves; the
page's script reads it and calls the API as any other client does.
"""

import re
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, send_from_directory

from authserve.passwords.policy import LONG_LENGTH
from authserve.settings.brand import brand_name
from authserve.settings.model import get_settings

blueprint = Blueprint("pages", __name__, template_folder="templates")

STATIC_FOLDER = Path(__file__).parent / "static"

TOKEN = re.compile(r"[A-Za-z0-9_-]{64}")
"""48 bytes in base64url, as every link carries them."""

ASSETS = {"pages.css", "pages.js", "icon.svg"}

HEADERS = {
    # No form is ever sent by the browser itself, or a password could end up in a query string;
    # Trusted Types hold the script to inserting text (ASVS 3.2.2).
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
    """Prove an address, with the account's password."""
    return _page("verify_email.html")


@blueprint.get("/reset-password")
def reset_password() -> Response:
    """Set a forgotten password anew."""
    return _page("reset_password.html")


@blueprint.get("/confirm-email")
def confirm_email() -> Response:
    """Change to a new address, with the account's password."""
    return _page("confirm_email.html")


@blueprint.get("/accept-invitation")
def accept_invitation() -> Response:
    """Choose a password, and names, for an invited account."""
    return _page("accept_invitation.html")


@blueprint.get("/first-administrator")
def first_administrator() -> Response:
    """Make the first account, an administrator."""
    return _page("first_administrator.html")


@blueprint.get(
    "/<any('verify-email', 'reset-password', 'confirm-email', 'accept-invitation', "
    "'first-administrator'):page>#<token>"
)
def escaped_fragment(page: str, token: str) -> Response:
    """Lead on to a page whose link a mail program has escaped: `%23` instead of `#`.

    The browser keeps the token to itself from then on. What is no token is left out.
    """
    fragment = f"#{token}" if TOKEN.fullmatch(token) else ""
    # Relative, so that it holds behind a proxy that strips a prefix.
    return Response(status=303, headers={**HEADERS, "Location": f"{page}{fragment}"})


@blueprint.get("/pages/<name>")
def asset(name: str) -> Response:
    """The pages' own script, style and icon."""
    if name not in ASSETS:
        abort(404)
    return send_from_directory(STATIC_FOLDER, name)


def _page(template: str) -> Response:
    """A page: nothing of the request is in it, so every caller gets the same."""
    settings = get_settings()
    html = render_template(
        template,
        service=brand_name(settings),
        min_length=settings.password_min_length,
        long_length=LONG_LENGTH,
    )
    return Response(html, mimetype="text/html", headers=HEADERS)
