"""The probes `/healthz` and `/readyz`."""

import logging

from flask import Response
from marshmallow import Schema, fields
from sqlalchemy.exc import SQLAlchemyError

from authserve.core.clock import now
from authserve.database.circuit import loggable_error
from authserve.database.readiness import is_migrated, probe_writing
from authserve.database.refusals import is_read_only
from authserve.health.drain import is_draining
from authserve.http.openapi import Blueprint
from authserve.http.schemas import json_response
from authserve.outbox.inspect import find_oldest_pending
from authserve.outbox.policy import MAIL_DELAY

logger = logging.getLogger(__name__)

blueprint = Blueprint("health", __name__, description="For load balancers and monitors.")


class HealthSchema(Schema):
    """The state of the process."""

    status = fields.String(required=True, metadata={"example": "ok"})


class ReadinessSchema(HealthSchema):
    """The state of the process and of the parts that it depends on, by name."""

    checks = fields.Dict(
        keys=fields.String(),
        values=fields.String(),
        required=True,
        metadata={"example": {"database": "ok", "migrations": "ok", "mail": "ok"}},
    )


@blueprint.get("/healthz")
@blueprint.response(200, HealthSchema)
def healthz() -> Response:
    """Return 200 while the process answers; nothing else is checked."""
    return json_response({"status": "ok"})


@blueprint.get("/readyz")
@blueprint.response(200, ReadinessSchema)
@blueprint.alt_response(503, schema=ReadinessSchema)
def readyz() -> Response:
    """Return 200 while the service can serve requests: send traffic only then."""
    results = _check_database()
    can_serve = all(result == "ok" for result in results.values())
    is_ready = can_serve and not is_draining()
    checks = {**results, "mail": _check_mail() if can_serve else "unknown"}
    document = {"status": _name_status(can_serve=can_serve, is_ready=is_ready), "checks": checks}
    response = json_response(document, 200 if is_ready else 503)
    response.headers["Cache-Control"] = "no-store"
    if not is_ready:
        response.headers["Retry-After"] = "5"
    return response


def _name_status(*, can_serve: bool, is_ready: bool) -> str:
    if is_ready:
        return "ok"
    # A draining server serves requests until it stops.
    return "draining" if can_serve else "unavailable"


def _check_mail() -> str:
    """Return the state of mail delivery, which never affects readiness.

    Only workers connect to the mail server, so the age of the oldest pending mail decides.
    """
    try:
        oldest = find_oldest_pending()
    except SQLAlchemyError:
        logger.warning("the outbox cannot be read", exc_info=True)
        return "unknown"
    return "ok" if oldest is None or now() - oldest < MAIL_DELAY else "delayed"


def _check_database() -> dict[str, str]:
    """Return the state of the database and its migrations, in words that are safe to publish."""
    migrations = "unknown"
    try:
        migrations = "ok" if is_migrated() else "pending"
        if migrations == "ok":
            probe_writing()
    except SQLAlchemyError as error:
        logger.warning("database not ready", exc_info=loggable_error(error))
        cause = getattr(error, "orig", None)
        state = "read-only" if is_read_only(cause) else "unavailable"
        return {"database": state, "migrations": migrations}
    return {"database": "ok", "migrations": migrations}
