"""The OpenAPI document, and Swagger UI from the package's own files."""

import json
from importlib.resources import files

import flask_swagger_ui
from flask import Blueprint, Response, abort, render_template, send_from_directory

from authserve.http.openapi_document import get_api

blueprint = Blueprint("docs", __name__, template_folder="templates")

SWAGGER_UI_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI sets style attributes and draws its icons from data URLs; scripts come as files."""

ASSETS = {
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "index.css",
    "favicon-32x32.png",
    "favicon-16x16.png",
}

INITIALIZER = """\
window.onload = () => {
  SwaggerUIBundle({ url: "/openapi.json", dom_id: "#swagger-ui", deepLinking: true });
};
"""


@blueprint.get("/openapi.json")
def openapi_json() -> Response:
    """The document (OpenAPI 3.1)."""
    document = json.dumps(get_api().document, ensure_ascii=False)
    return Response(document, mimetype="application/json")


@blueprint.get("/docs")
def swagger_ui() -> Response:
    """The document for people."""
    response = Response(render_template("swagger_ui.html"), mimetype="text/html")
    response.headers["Content-Security-Policy"] = SWAGGER_UI_POLICY
    return response


@blueprint.get("/docs/initializer.js")
def initializer() -> Response:
    """The page's own script, as a file, so that the policy needs no exception for it."""
    return Response(INITIALIZER, mimetype="text/javascript")


@blueprint.get("/docs/<name>")
def asset(name: str) -> Response:
    """A file of Swagger UI."""
    if name not in ASSETS:
        abort(404)
    return send_from_directory(str(files(flask_swagger_ui) / "dist"), name)
