"""`flask sessions`: ending and clearing away."""

from datetime import UTC, datetime

import click
from flask.cli import AppGroup

from authserve.core.cli import tell_errors
from authserve.core.clock import now
from authserve.sessions.service import end_sessions_issued_before, purge_dead_sessions
from authserve.users.service import get_user_by_reference, ref_of

sessions_group = AppGroup("sessions", help="Sessions: end them, clear away the dead ones.")


@sessions_group.command()
@tell_errors
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
        click.echo(f"{deleted} deleted so far", err=True)
    click.echo(f"{deleted} dead sessions deleted.")


@sessions_group.command()
@click.option("--user", help="Only those of this id, address or username.")
@click.option(
    "--issued-before",
    type=click.DateTime(),
    help="Only those that began before this moment (UTC); all, if left out.",
)
@click.confirmation_option(prompt="This signs people out. Go on?")
@tell_errors
def revoke(user: str | None, issued_before: datetime | None) -> None:
    """End live sessions, of one user or of everybody.

    After restoring a backup, end what began before it was restored: sessions live in it that
    had been ended since.

    \b
    Examples:
      flask sessions revoke --user alice
      flask sessions revoke --issued-before 2026-11-23T06:00:00 --yes
    """
    moment = issued_before.replace(tzinfo=UTC) if issued_before else now()
    only = ref_of(get_user_by_reference(user)) if user is not None else None
    count = end_sessions_issued_before(moment, user=only)
    click.echo(f"{count} sessions ended.")
