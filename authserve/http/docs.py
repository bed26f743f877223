"""Routes of the OpenAPI document and of Swagger UI, from the files of its package."""

from importlib.resources import files

import flask_swagger_ui
from flask import Blueprint, Response, abort, render_template, send_from_directory

from authserve.http.openapi_document import OPENAPI

blueprint = Blueprint("docs", __name__, template_folder="templates")

SWAGGER_UI_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)
"""CSP of the page: Swagger UI's icons are data URLs. It sets styles by script, which needs no
permission."""

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
"""Script of the page. It calls the service at the page's own URL, which can differ from
`PUBLIC_URL`: another port, or a proxy that strips a path prefix. `validatorUrl` is null because by
default Swagger UI would send the document to validator.swagger.io."""


@blueprint.get("/openapi.json")
def openapi_json() -> Response:
    """Return the OpenAPI 3.1 document."""
    return Response(OPENAPI.get().text, mimetype="application/json")


@blueprint.get("/docs")
def swagger_ui() -> Response:
    """Return the page of Swagger UI, which shows the document."""
    response = Response(render_template("swagger_ui.html"), mimetype="text/html")
    response.headers["Content-Security-Policy"] = SWAGGER_UI_POLICY
    return response


@blueprint.get("/docs/initializer.js")
def initializer() -> Response:
    """Return the page's own script; as a file, it needs no exception in the policy."""
    return Response(INITIALIZER, mimetype="text/javascript")


@blueprint.get("/docs/<name>")
def asset(name: str) -> Response:
    """Return a file of Swagger UI."""
    if name not in ASSETS:
        abort(404)
    return send_from_directory(str(files(flask_swagger_ui) / "dist"), name)
