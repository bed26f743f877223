"""`flask audit`: verify, export, seal and prune the trail."""

import json
import os
import re
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID

import click
from flask.cli import AppGroup
from marshmallow import ValidationError

from authserve.audit.service import (
    ExportedEvent,
    TamperedError,
    chain_length,
    export_events,
    prune_events,
    rewrap_heads,
    seal_events,
    verify_trail,
)
from authserve.core.cli import tell_errors
from authserve.core.clock import to_rfc3339
from authserve.core.settings import get_settings
from authserve.http.fields import MomentInput

audit_group = AppGroup("audit", help="The audit trail: verify, export, seal, prune.")


class HeadParam(click.ParamType[tuple[int, bytes]]):
    """A batch and its head as the log has them: `17:9f86d0…`."""

    name = "batch:head"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, bytes]:
        """Read the number and the 64 hexadecimal digits."""
        found = re.fullmatch(r"([0-9]{1,9}):([0-9a-f]{64})", str(value), re.ASCII)
        if found is None:
            self.fail("write it as BATCH:HEAD, with the numbers of a logged line", param, ctx)
        return int(found[1]), bytes.fromhex(found[2])


class MomentParam(click.ParamType[datetime]):
    """A time as the API takes it."""

    name = "time"

    def convert(self, value: Any, param: Any, ctx: Any) -> datetime:
        """Read an RFC 3339 time with its offset."""
        if isinstance(value, datetime):
            return value
        try:
            moment: datetime = MomentInput().deserialize(value)
        except ValidationError:
            self.fail("write it like 2026-11-23T06:49:48Z", param, ctx)
        return moment


@audit_group.command()
@click.option(
    "--head",
    "heads",
    type=HeadParam(),
    multiple=True,
    help="A batch that the log tells of (`audit batch sealed`); repeatable.",
)
@tell_errors
def verify(heads: tuple[tuple[int, bytes], ...]) -> None:
    """Check that no event was changed, removed or inserted; if one was, name it and exit with 1.

    The service can go on meanwhile. A chain that was made anew as a whole, or an older copy of
    the database, shows only against a head from the log: give the newest one with --head.

    \b
    Examples:
      flask audit verify
      flask audit verify --head 17:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    with click.progressbar(length=chain_length(), label="Verifying", file=sys.stderr) as bar:
        try:
            found = verify_trail(known_heads=dict(heads), progress=bar.update)
        except TamperedError as error:
            fault = str(error)
        else:
            fault = ""
    if fault:
        raise click.ClickException(f"The audit trail was tampered with: {fault}.")
    click.echo(
        f"The audit trail is whole: {found.events} events in {found.batches} batches, "
        f"{found.pruned} pruned, {found.unsealed} not sealed yet."
    )
    click.echo(f"Its end is {found.batches}:{found.head.hex()}")


@audit_group.command()
@click.option("--after", type=MomentParam(), help="Only later ones.")
@click.option("--before", type=MomentParam(), help="Only earlier ones.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
@tell_errors
def export(after: datetime | None, before: datetime | None, file: Path) -> None:
    """Export events as NDJSON, oldest first; `-` is standard output.

    Each line is an event as the API shows it, with its batch (null while it is not sealed) and
    the pseudonyms of its users, which tell events of deleted users apart.

    \b
    Examples:
      flask audit export events.ndjson
      flask audit export --after 2026-11-01T00:00:00Z --before 2026-12-01T00:00:00Z - | gzip > a.gz
    """
    if str(file) == "-":
        _write(sys.stdout, after=after, before=before)
        return
    # For the operator alone, and never over an older file by mistake.
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        reason = "exists already" if isinstance(error, FileExistsError) else error.strerror
        raise click.ClickException(f"{file} cannot be made: {reason}.") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as target:
        count = _write(target, after=after, before=before)
    click.echo(f"{count} events written to {file}.", err=True)


def _write(target: TextIO, *, after: datetime | None, before: datetime | None) -> int:
    count = 0
    for exported in export_events(after=after, before=before):
        target.write(json.dumps(_document(exported), ensure_ascii=False) + "\n")
        count += 1
    return count


def _document(exported: ExportedEvent) -> dict[str, Any]:
    event = exported.event
    return {
        "id": str(event.id),
        "occurred_at": to_rfc3339(event.occurred_at),
        "action": event.action,
        "outcome": event.outcome,
        "actor_id": _text(event.actor_id),
        "subject_id": _text(event.subject_id),
        "ip": event.ip,
        "user_agent": event.user_agent,
        "correlation_id": event.correlation_id,
        "details": event.details,
        "actor_audit_id": _text(exported.actor_audit_id),
        "subject_audit_id": _text(exported.subject_audit_id),
        "batch": exported.batch,
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


@audit_group.command()
@tell_errors
def seal() -> None:
    """Seal the events that are in no batch yet.

    The worker does so by itself, every minute; this is for a deployment without one.

    \b
    Example:
      flask audit seal
    """
    sizes = list(seal_events())
    click.echo(f"{sum(sizes)} events sealed in {len(sizes)} batches.")


@audit_group.command()
@tell_errors
def prune() -> None:
    """Delete the sealed events that are older than AUDIT_RETENTION; the rest still verifies.

    The worker does so by itself; this is for a deployment without one.

    \b
    Example:
      flask audit prune
    """
    deleted = 0
    for count in prune_events():
        deleted += count
        click.echo(f"{deleted} deleted so far", err=True)
    days = get_settings().audit_retention.days
    click.echo(f"{deleted} events deleted that were older than {days} days.")


@audit_group.command()
@tell_errors
def rewrap() -> None:
    """Vouch for all batches under the current SECRET_KEY.

    After this a former secret can be dropped from SECRET_KEY_FALLBACKS, as far as the audit trail
    is concerned.

    \b
    Example:
      flask audit rewrap
    """
    done = 0
    try:
        for count in rewrap_heads():
            done += count
    except TamperedError as error:
        raise click.ClickException(f"Put the former SECRET_KEY back: {error}.") from error
    click.echo(f"{done} batches vouched for under the current SECRET_KEY.")
