"""`flask sessions`: list and end sessions, delete dead ones."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

import click

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.cli import YES_OPTION, Group, TimeParam, confirm, expand_stdin
from authserve.core.cli_output import print_hint, print_result, print_rows
from authserve.core.clock import now, to_rfc3339
from authserve.core.levels import Level
from authserve.sessions.listing import page_of_live_sessions
from authserve.sessions.revoke import end_sessions_issued_before, purge_dead_sessions
from authserve.users.accounts import ref_of
from authserve.users.lookup import get_users_by_reference

sessions_group = Group("sessions", help="Sessions: list them, end them, delete the dead ones.")

PAGE_SIZE = 200
"""Sessions read per query (chosen)."""


_USERS_OPTION = click.option(
    "--user",
    "users",
    multiple=True,
    help="Only sessions of this id, address or username; repeatable; `-` reads standard input.",
)


@sessions_group.command("list")
@_USERS_OPTION
@click.option(
    "--limit", type=click.IntRange(min=1), help="The maximum number of sessions; default: all."
)
def list_(users: tuple[str, ...], limit: int | None) -> None:
    """List live sessions, newest first, of some users or of all.

    \b
    Examples:
      flask sessions list --user alice
      flask sessions list --limit 20 --json
    """
    found = get_users_by_reference(expand_stdin(users))
    user_ids = [user.id for user in found] if users else None
    print_rows(
        map(_document, islice(_live_sessions(user_ids), limit)),
        columns={
            "ID": "id",
            "USER ID": "user_id",
            "KIND": "kind",
            "APP": "client_id",
            "CREATED": "created_at",
            "LAST USED": "last_used_at",
            "IP": "ip",
            "USER AGENT": "user_agent",
        },
        empty="There is no live session.",
    )


def _live_sessions(user_ids: Sequence[UUID] | None) -> Iterator[Any]:
    before: UUID | None = None
    while page := page_of_live_sessions(limit=PAGE_SIZE, before=before, user_ids=user_ids):
        yield from page
        before = page[-1].id


def _document(session: Any) -> dict[str, Any]:
    return {
        "id": str(session.id),
        "user_id": str(session.user_id),
        "kind": session.kind,
        "created_at": to_rfc3339(session.created_at),
        "last_used_at": to_rfc3339(session.last_used_at),
        # The earlier of its two limits.
        "expires_at": to_rfc3339(min(session.expires_at, session.idle_expires_at)),
        "ip": session.ip,
        "user_agent": session.user_agent,
        "client_id": session.client_id,
        "parent_id": session.parent_id and str(session.parent_id),
        "scope": session.scope,
        "is_offline": session.is_offline,
        "amr": list(session.amr),
        "acr": Level(session.aal).acr,
        "provider": session.provider,
    }


@sessions_group.command()
def purge() -> None:
    """Delete the sessions that ended or expired over an hour ago.

    The worker does this by itself; use the command in a deployment without a worker.

    \b
    Example:
      flask sessions purge
    """
    deleted = 0
    for count in purge_dead_sessions():
        deleted += count
        print_hint(f"{deleted} deleted so far")
    print_result(f"{deleted} dead sessions deleted.", deleted=deleted)


@sessions_group.command()
@_USERS_OPTION
@click.option(
    "--issued-before",
    type=TimeParam(is_utc_implied=True),
    help="Only sessions that began before this time (UTC if it has no offset); default: all.",
)
@YES_OPTION
def revoke(users: tuple[str, ...], issued_before: datetime | None, yes: bool) -> None:
    """End sessions of some users or of all; those of several users need a confirmation.

    After restoring a backup, end the sessions that began before the restore: some that had been
    ended since the backup are live again.

    \b
    Examples:
      flask sessions revoke --user alice
      flask sessions revoke --issued-before 2026-11-23T06:00:00Z --yes
    """
    limit = issued_before or now()
    found = get_users_by_reference(expand_stdin(users))
    if len(found) != 1:
        owners_text = f"{len(found)} users" if users else "all users"
        confirm(f"This ends the sessions of {owners_text}. Continue?", yes=yes)
    owners = [ref_of(user) for user in found] if users else [None]
    request = RequestInfo(user_agent="flask sessions revoke")
    count = sum(
        end_sessions_issued_before(
            limit,
            user=owner,
            is_everything=issued_before is None,
            actor=OPERATOR,
            request=request,
        )
        for owner in owners
    )
    print_result(f"{count} sessions ended.", ended=count)
