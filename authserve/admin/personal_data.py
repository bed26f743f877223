"""Export of all data held on a user, for that user (GDPR articles 15 and 20).

The data is read in slices while it is sent, so memory and the time of each statement are bounded.
Data that would reveal other accounts is omitted: see `_mails` and
`verification.tokens.find_links_of`.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from authserve.audit.own_events import find_own_events
from authserve.core.clock import now, to_rfc3339
from authserve.core.container import ListSlot
from authserve.http.schemas import user_document
from authserve.mail.policy import MailKind
from authserve.mfa.factors import list_factors
from authserve.mfa.recovery_codes import find_code_set
from authserve.outbox.inspect import find_messages_to
from authserve.outbox.policy import SENT_RETENTION, MessageState
from authserve.rbac.assignment import roles_of
from authserve.sessions.listing import find_all_sessions
from authserve.users.accounts import User, ref_of
from authserve.users.lookup import get_user
from authserve.verification.tokens import find_links_of

SLICE_ROWS = 500
"""Rows read by one statement, so that none takes long (chosen)."""

PIECE_CHARACTERS = 16_384
"""The minimum of characters sent at once, except at the end (chosen)."""

SECRET_COLUMNS = frozenset({"family_digest", "cookie_digest", "previous_digest"})
"""Columns that are not exported: only the service can use them; they hold no data on the user."""

FurtherList = Callable[[UUID], Iterable[dict[str, Any]]]
"""A function that returns what a feature holds on a user."""

FURTHER_LISTS = ListSlot[tuple[str, FurtherList]]("further_lists")
"""Names and functions of the lists that optional features add to a user's data."""

RowT = TypeVar("RowT")


def export_personal_data(user_id: UUID) -> Iterator[str]:
    """Return all data held on a user, without hashes or secrets, as pieces of one JSON object.

    Raises:
        UserNotFoundError: the account does not exist; raised by the call, not while sending.
    """
    user = get_user(user_id)
    head = {"exported_at": to_rfc3339(now()), "user": _account(user)}
    lists: Mapping[str, Iterable[dict[str, Any]]] = {
        "factors": (_plain(asdict(factor)) for factor in list_factors(user.id)),
        "sessions": _documents(partial(find_all_sessions, user.id)),
        "links": _documents(partial(find_links_of, user.id)),
        "mails": _mails(user.id),
        **_further_lists(user.id),
        "events": map(_event, _paged(partial(find_own_events, ref_of(user)))),
    }
    return _in_pieces(_as_json(head, lists))


def _account(user: User) -> dict[str, Any]:
    return {
        **user_document(user, roles_of(user.id)),
        "has_password": user.password_hash is not None,
        "failed_sign_ins": user.failed_sign_ins,
        "failed_second_factors": user.failed_second_factors,
        "mfa_reset_at": _plain_value(user.mfa_reset_at),
        "recovery_codes": _plain(asdict(find_code_set(user.id))),
        "invited_at": _plain_value(user.invited_at),
        "activated_at": _plain_value(user.activated_at),
        "locale": user.locale,
        "activity_seen_at": _plain_value(user.activity_seen_at),
    }


def _further_lists(user_id: UUID) -> dict[str, Iterable[dict[str, Any]]]:
    return {name: map(_plain, find(user_id)) for name, find in FURTHER_LISTS.get()}


def _documents(find: Callable[..., Sequence[Any]]) -> Iterator[dict[str, Any]]:
    return (_plain(row._asdict()) for row in _paged(find))


def _event(event: Any) -> dict[str, Any]:
    return _plain(asdict(event))


def _mails(user_id: UUID) -> Iterator[dict[str, Any]]:
    """Yield each mail as the user may see it.

    A link is sent to a new address only if no other account has it. To hide that, such a mail has
    no `sent_at`, and it is omitted once it is older than the retention of sent mails.
    """
    kept_since = now() - SENT_RETENTION
    for row in _paged(partial(find_messages_to, user_id)):
        is_change = row.kind == MailKind.CHANGE_EMAIL
        if is_change and row.created_at <= kept_since:
            continue
        is_sent = row.state == MessageState.SENT and not is_change
        yield {
            "id": str(row.id),
            "kind": row.kind,
            "email": row.payload["email"],
            "requested_at": to_rfc3339(row.created_at),
            "sent_at": _plain_value(row.finished_at) if is_sent else None,
        }


def _paged(find: Callable[..., Sequence[RowT]]) -> Iterator[RowT]:
    """Yield the rows of `find(limit=…, before=…)`, newest first, page by page."""
    before: UUID | None = None
    while page := find(limit=SLICE_ROWS, before=before):
        yield from page
        before = page[-1].id  # type: ignore[attr-defined]


def _as_json(
    head: Mapping[str, Any], lists: Mapping[str, Iterable[dict[str, Any]]]
) -> Iterator[str]:
    yield json.dumps(head).removesuffix("}")
    for name, items in lists.items():
        yield f', "{name}": ['
        separator = ""
        for item in items:
            yield separator + json.dumps(item)
            separator = ", "
        yield "]"
    yield "}"


def _in_pieces(texts: Iterable[str]) -> Iterator[str]:
    """Join the texts into pieces of at least `PIECE_CHARACTERS`; the last may be shorter."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        waiting.append(text)
        size += len(text)
        if size >= PIECE_CHARACTERS:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _plain_value(value) for name, value in values.items() if name not in SECRET_COLUMNS
    }


def _plain_value(value: Any) -> Any:
    if isinstance(value, datetime):
        return to_rfc3339(value)
    return str(value) if isinstance(value, UUID) else value
