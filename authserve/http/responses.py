"""JSON responses that need no schema."""

import json
from collections.abc import Mapping
from typing import Any

from flask import Response


def json_response(document: Mapping[str, Any], status: int = 200) -> Response:
    """Return `document` as a JSON response, without a schema."""
    return Response(json.dumps(document), status=status, mimetype="application/json")
