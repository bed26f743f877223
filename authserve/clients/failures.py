"""The latest failures of a client, for its status and the audit trail.

Strangers can cause most failures, so few rows are kept, each is written at most once a minute, and
the audit trail gets one event an hour for each reason.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import String, delete, exists, literal, or_, select, update

from authserve.clients.models import Client, ClientFailure
from authserve.clients.registry import is_client_id
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.events import AuditAction, Outcome
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import UTCDateTime, table_of
from authserve.database.transactions import dialect_insert, execute, read_all, transaction

WRITE_INTERVAL = timedelta(minutes=1)
"""Least time between two writes for a client and a reason (chosen, as for redirect URIs)."""

AUDIT_INTERVAL = timedelta(hours=1)
"""Least time between two audit events for a client and a reason (chosen: a client that fails all
day adds 24 events for each reason)."""

MAX_KEPT = 5
"""Limits the rows of a client and a reason; the oldest goes (chosen, as for redirect URIs)."""

DETAIL_MAX_LENGTH = 200
"""Limits a failure's detail, in characters (chosen: a few names of scopes)."""

_SCOPE = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")

_CLIENTS, _FAILURES = table_of(Client), table_of(ClientFailure)


class FailureReason(StrEnum):
    """A reason why a request of a client failed: a code of OAuth, or a scope that was left out.

    Codes that follow from a healthy client's requests, such as `login_required`, are not here.
    """

    INVALID_CLIENT = "invalid_client"
    INVALID_REQUEST = "invalid_request"
    INVALID_GRANT = "invalid_grant"
    INVALID_SCOPE = "invalid_scope"
    INVALID_TARGET = "invalid_target"
    UNAUTHORIZED_CLIENT = "unauthorized_client"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    UNSUPPORTED_RESPONSE_TYPE = "unsupported_response_type"
    REQUEST_NOT_SUPPORTED = "request_not_supported"
    REQUEST_URI_NOT_SUPPORTED = "request_uri_not_supported"
    ACCESS_DENIED = "access_denied"
    UNMET_AUTHENTICATION_REQUIREMENTS = "unmet_authentication_requirements"
    SCOPE_DROPPED = "scope_dropped"


@frozen(kw_only=True)
class RecordedFailure:
    """A failure as it was recorded.

    Args:
        reason: one of `FailureReason`.
        last_at: when it was written last; further failures within `WRITE_INTERVAL` are not.
        correlation_id: of the request that was written last.
    """

    reason: str
    last_at: datetime
    correlation_id: str | None


def note_failure(client_id: str | None, code: str, *, request: RequestInfo, now: datetime) -> None:
    """Record a refusal, unless the same one was recorded a moment ago.

    Args:
        client_id: as a request named it; nothing is recorded for an unknown one.
        code: of OAuth; nothing is recorded if it is no `FailureReason`.
    """
    if code in set(FailureReason):
        _note(client_id or "", FailureReason(code), "", request, now)


def note_dropped_scopes(
    client_id: str, scopes: Iterable[str], *, request: RequestInfo, now: datetime
) -> None:
    """Record the scopes that a request asked for and the client does not have.

    Args:
        scopes: as the request had them; texts that no scope looks like are left out.
    """
    named = " ".join(sorted(filter(_SCOPE.fullmatch, scopes)))
    if len(named) > DETAIL_MAX_LENGTH:
        # The last name is kept only if it is whole.
        named = named[: DETAIL_MAX_LENGTH + 1].rpartition(" ")[0]
    if named:
        _note(client_id, FailureReason.SCOPE_DROPPED, named, request, now)


def _note(
    client_id: str, reason: FailureReason, detail: str, request: RequestInfo, now: datetime
) -> None:
    if not is_client_id(client_id):
        return
    is_alike = (_FAILURES.c.client_id == client_id) & (_FAILURES.c.reason == reason)
    recent = exists().where(is_alike, _FAILURES.c.last_at > now - WRITE_INTERVAL)
    row = select(
        _CLIENTS.c.client_id,
        literal(reason.value, String),
        literal(detail, String),
        literal(now, UTCDateTime),
        literal(request.correlation_id, String),
    ).where(_CLIENTS.c.client_id == client_id, _CLIENTS.c.deleted_at.is_(None), ~recent)
    names = ["client_id", "reason", "detail", "last_at", "correlation_id"]
    upsert = (
        dialect_insert(ClientFailure)
        .from_select(names, row)
        .on_conflict_do_update(
            index_elements=["client_id", "reason", "detail"],
            set_={"last_at": now, "correlation_id": request.correlation_id},
        )
    )
    with transaction():
        if not execute(upsert).rowcount:
            return
        newest = select(_FAILURES.c.detail).where(is_alike).order_by(_FAILURES.c.last_at.desc())
        surplus = newest.offset(MAX_KEPT)
        execute(delete(_FAILURES).where(is_alike, _FAILURES.c.detail.in_(surplus)))
        if reason is not FailureReason.SCOPE_DROPPED:
            _audit(client_id, reason, request, now)


def _audit(client_id: str, reason: FailureReason, request: RequestInfo, now: datetime) -> None:
    """Emit the event of a failure, unless an alike one was emitted within `AUDIT_INTERVAL`."""
    reported_at = _FAILURES.c.reported_at
    is_due = or_(reported_at.is_(None), reported_at <= now - AUDIT_INTERVAL)
    is_it = (_FAILURES.c.client_id == client_id) & (_FAILURES.c.reason == reason)
    if not execute(update(_FAILURES).where(is_it, is_due).values(reported_at=now)).rowcount:
        return
    if reason is FailureReason.INVALID_CLIENT:
        emit(
            AuditAction.OAUTH_CLIENT_AUTH_FAILED,
            outcome=Outcome.FAILURE,
            actor=VISITOR,
            request=request,
            details={"client_id": client_id},
        )
    else:
        emit(
            AuditAction.OAUTH_REFUSED,
            outcome=Outcome.FAILURE,
            actor=VISITOR,
            request=request,
            details={"client_id": client_id, "reason": reason.value},
        )


def list_failures(client_id: str) -> Sequence[RecordedFailure]:
    """Return the recorded failures of a client, newest first, but for dropped scopes."""
    columns = (_FAILURES.c.reason, _FAILURES.c.last_at, _FAILURES.c.correlation_id)
    is_shown = _FAILURES.c.reason != FailureReason.SCOPE_DROPPED
    statement = select(*columns).where(_FAILURES.c.client_id == client_id, is_shown)
    rows = read_all(statement.order_by(_FAILURES.c.last_at.desc()))
    return [RecordedFailure(**row._mapping) for row in rows]


def list_dropped_scopes(client_id: str) -> Sequence[str]:
    """Return the scopes that requests asked for and the client did not have, sorted."""
    is_it = _FAILURES.c.reason == FailureReason.SCOPE_DROPPED
    rows = read_all(select(_FAILURES.c.detail).where(_FAILURES.c.client_id == client_id, is_it))
    return sorted({scope for row in rows for scope in row.detail.split(" ")})
