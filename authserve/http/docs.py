"""The OpenAPI document, and Swagger UI from the package's own files."""

from importlib.resources import files

import flask_swagger_ui
from flask import Blueprint, Response, abort, render_template, send_from_directory

from authserve.http.openapi_document import get_api

blueprint = Blueprint("docs", __name__, template_folder="templates")

SWAGGER_UI_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""Swagger UI draws its icons from data URLs, and sets styles by script, which needs no leave."""

ASSETS = {
    "swagger-ui.css",
    "swagger-ui-bundle.js",
    "index.css",
    "favicon-32x32.png",
    "favicon-16x16.png",
}

INITIALIZER = """\
window.onload = async () => {
  const folder = new URL(".", window.location.href).href;
  const answer = await fetch(`${folder}openapi.json`);
  const spec = await answer.json();
  spec.servers = [{ url: folder.replace(/\\/$/, "") }];
  SwaggerUIBundle({
    spec,
    dom_id: "#swagger-ui",
    deepLinking: true,
    validatorUrl: null,
  });
};
"""
"""The page calls the service where it was found itself, which need not be `PUBLIC_URL`: under
another port, or behind a proxy that strips a path prefix. By default, the document would be sent
to validator.swagger.io."""


@blueprint.get("/openapi.json")
def openapi_json() -> Response:
    """The document (OpenAPI 3.1)."""
    return Response(get_api().document, mimetype="application/json")


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
