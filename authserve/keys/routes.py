"""The public key set."""

from flask import Response, jsonify
from flask_smorest import Blueprint

from authserve.keys.policy import JWKS_MAX_AGE
from authserve.keys.schemas import EXAMPLE_SET, JWKSetSchema
from authserve.keys.store import find_stores

blueprint = Blueprint(
    "keys", __name__, url_prefix="/.well-known", description="Verifying tokens elsewhere."
)


@blueprint.get("/jwks.json")
@blueprint.response(200, JWKSetSchema, example=EXAMPLE_SET)
def jwks() -> Response:
    """Return the public keys that verify tokens: current, next and still needed ones."""
    response = jsonify({"keys": [key for store in find_stores() for key in store.jwks()]})
    response.headers["Cache-Control"] = f"public, max-age={int(JWKS_MAX_AGE.total_seconds())}"
    return response
