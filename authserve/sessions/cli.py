"""`flask sessions`: ending and clearing away."""

from datetime import datetime

import click

from authserve.core.cli import (
    YES_OPTION,
    Group,
    TimeParam,
    confirm,
    expand_stdin,
    print_hint,
    print_result,
)
from authserve.core.clock import now
from authserve.sessions.service import end_sessions_issued_before, purge_dead_sessions
from authserve.users.service import get_users_by_reference, ref_of

sessions_group = Group("sessions", help="Sessions: end them, clear away the dead ones.")


@sessions_group.command()
def purge() -> None:
    """Delete the sessions that ended or expired over an hour ago.

    The worker does so by itself; this is for a deployment without one.

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
@click.option(
    "--user",
    "users",
    multiple=True,
    help="Only those of this id, address or username; repeatable; `-` is standard input.",
)
@click.option(
    "--issued-before",
    type=TimeParam(is_utc_implied=True),
    help="Only those that began before this time (UTC if it has no offset); all, if left out.",
)
@YES_OPTION
def revoke(users: tuple[str, ...], issued_before: datetime | None, yes: bool) -> None:
    """End live sessions, of some users or of all; more than one user's need a confirmation.

    After restoring a backup, end what began before it was restored: sessions live in it that
    had been ended since.

    \b
    Examples:
      flask sessions revoke --user alice
      flask sessions revoke --issued-before 2026-11-23T06:00:00Z --yes
    """
    limit = issued_before or now()
    found = get_users_by_reference(expand_stdin(users))
    if len(found) != 1:
        people = f"{len(found)} people" if users else "all people"
        confirm(f"This signs {people} out. Go on?", yes=yes)
    owners = [ref_of(user) for user in found] if users else [None]
    count = sum(end_sessions_issued_before(limit, user=owner) for owner in owners)
    print_result(f"{count} sessions ended.", ended=count)
