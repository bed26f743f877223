"""Everything that is held on one user, for that user (GDPR articles 15 and 20)."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any
from uuid import UUID

from authserve.audit.service import EventFilters, RecordedEvent, find_events, position_of
from authserve.core.actor import UserRef
from authserve.core.clock import now, to_rfc3339
from authserve.http.schemas import user_document
from authserve.outbox.service import find_messages_of
from authserve.rbac.service import roles_of
from authserve.sessions.service import find_all_sessions
from authserve.users.service import get_user, ref_of
from authserve.verification.service import find_links_of, topics_of

EVENT_SLICE = 500
"""Events read at once, so that one statement never takes long (chosen)."""

MAX_MESSAGES = 1_000

SECRET_COLUMNS = frozenset({"family_digest", "lease_id"})
"""What only the service can use; it says nothing about the user."""


def export_personal_data(user_id: UUID) -> dict[str, Any]:
    """All that is held on a user, ready to be dumped as JSON; never a hash or a secret.

    Raises:
        UserNotFoundError: there is no such account (any more).
    """
    user = get_user(user_id)
    return {
        "exported_at": to_rfc3339(now()),
        "user": {
            **user_document(user, roles_of(user_id)),
            "has_password": user.password_hash is not None,
            "failed_sign_ins": user.failed_sign_ins,
            "invited_at": _plain_value(user.invited_at),
            "activated_at": _plain_value(user.activated_at),
        },
        "sessions": [_plain(row._asdict()) for row in find_all_sessions(user_id)],
        "links": [_plain(row._asdict()) for row in find_links_of(user_id)],
        "mails": [
            _plain(row._asdict())
            for row in find_messages_of(user_id, topics=topics_of(user.email), limit=MAX_MESSAGES)
        ],
        "events": [_plain(asdict(event)) for event in _events_of(ref_of(user))],
    }


def _events_of(user: UserRef) -> Iterator[RecordedEvent]:
    filters, before = EventFilters(involving=user), None
    while page := find_events(filters, limit=EVENT_SLICE, before=before):
        yield from page
        before = position_of(page[-1])


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _plain_value(value) for name, value in values.items() if name not in SECRET_COLUMNS
    }


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_rfc3339(value)
    return str(value) if isinstance(value, UUID) else value
