"""GET `/`: a redirect for browsers, the service's name for other clients.

Browsers are sent to the page that a feature for people has named, or to the documentation.
"""

from flask import Response
from marshmallow import Schema, fields

from authserve.core.container import Slot
from authserve.http.openapi import Blueprint
from authserve.http.openapi_document import OPENAPI
from authserve.http.request_info import accepts_html
from authserve.http.schemas import json_response
from authserve.settings.model import SETTINGS, brand_name

DOCUMENTATION = "/docs"

START_PAGE = Slot[str]("start_page")
"""The path to which browsers are sent; without one it is `DOCUMENTATION`."""

blueprint = Blueprint("root", __name__, description="What answers here.")


class ServiceSchema(Schema):
    """The service and where its documentation is."""

    name = fields.String(required=True, metadata={"example": "auth.example.com"})
    version = fields.String(required=True, metadata={"example": "1.0.0"})
    documentation = fields.String(
        required=True, metadata={"example": "https://auth.example.com/docs"}
    )
    openapi = fields.String(
        required=True, metadata={"example": "https://auth.example.com/openapi.json"}
    )


@blueprint.get("/")
@blueprint.response(200, ServiceSchema)
@blueprint.alt_response(302, description="A browser is sent to the documentation.")
def root() -> Response:
    """Return the service's name, version and documentation; redirect browsers to a page."""
    response = _redirect_to_pages() if accepts_html() else json_response(_describe())
    response.headers["Vary"] = "Accept"
    return response


def _redirect_to_pages() -> Response:
    # A relative URL also works behind a proxy that strips a path prefix (RFC 9110 §10.2.2).
    page = START_PAGE.find() or DOCUMENTATION
    headers = {"Location": page.removeprefix("/"), "Cache-Control": "no-store"}
    return Response(status=302, headers=headers, mimetype="text/html")


def _describe() -> dict[str, str]:
    settings = SETTINGS.get()
    return {
        "name": brand_name(settings),
        "version": OPENAPI.get().version,
        "documentation": f"{settings.public_url}{DOCUMENTATION}",
        "openapi": f"{settings.public_url}/openapi.json",
    }
