"""`flask audit`: verify, export, seal and prune the trail."""

import re
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from authserve.audit.checks import TamperedError
from authserve.audit.read import ExportedEvent, export_events
from authserve.audit.retention import prune_events, rewrap_heads
from authserve.audit.seal import seal_events
from authserve.audit.verify import chain_length, verify_trail
from authserve.core.cli import Group, TimeParam
from authserve.core.cli_output import (
    open_output,
    print_hint,
    print_result,
    print_written,
    progress_bar,
    write_json,
)
from authserve.core.clock import to_rfc3339
from authserve.settings.model import SETTINGS

audit_group = Group("audit", help="The audit trail: verify, export, seal, prune.")


class HeadParam(click.ParamType[tuple[int, bytes]]):
    """A batch number and its head, joined by a colon: `17:9f86d0…`."""

    name = "batch:head"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, bytes]:
        """Parse the number and the 64 hexadecimal digits."""
        found = re.fullmatch(r"([0-9]{1,9}):([0-9a-f]{64})", str(value), re.ASCII)
        if found is None:
            self.fail("write it as BATCH:HEAD, with the numbers of a logged line", param, ctx)
        return int(found[1]), bytes.fromhex(found[2])


@audit_group.command()
@click.option(
    "--head",
    "heads",
    type=HeadParam(),
    multiple=True,
    help="BATCH:HEAD from a log line `audit batch sealed`; repeatable.",
)
def verify(heads: tuple[tuple[int, bytes], ...]) -> None:
    """Verify that no event was changed, removed or inserted.

    The command reports the first fault and exits with 1. The service can keep running
    meanwhile. Only a head from the log reveals a chain that was rebuilt as a whole, or an older
    copy of the database: give the newest head with --head.

    \b
    Examples:
      flask audit verify
      flask audit verify --head 17:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
    """
    with progress_bar(chain_length(), "Verifying") as update:
        try:
            found = verify_trail(known_heads=dict(heads), progress=update)
        except TamperedError as error:
            fault = str(error)
        else:
            fault = ""
    if fault:
        raise click.ClickException(f"The audit trail was tampered with: {fault}.")
    end = f"{found.batches}:{found.head.hex()}"
    print_result(
        f"The audit trail is whole: {found.events} events in {found.batches} batches, "
        f"{found.pruned} pruned, {found.unsealed} not sealed yet.\nIts end is {end}",
        events=found.events,
        batches=found.batches,
        pruned=found.pruned,
        unsealed=found.unsealed,
        head=end,
    )


@audit_group.command()
@click.option("--after", type=TimeParam(), help="Only later events.")
@click.option("--before", type=TimeParam(), help="Only earlier events.")
@click.argument("file", type=click.Path(dir_okay=False, allow_dash=True, path_type=Path))
def export(after: datetime | None, before: datetime | None, file: Path) -> None:
    """Export events as NDJSON, oldest first; `-` is standard output.

    Each line is an event as the API shows it, plus its batch (null until it is sealed) and the
    ids of its users as the event stores them (actor_audit_id, subject_audit_id).

    \b
    Examples:
      flask audit export events.ndjson
      flask audit export --after 2026-11-01T00:00:00Z --before 2026-12-01T00:00:00Z november.ndjson
      (umask 077; flask audit export - | gzip > events.ndjson.gz)
    """
    count = 0
    with open_output(file) as target:
        for exported in export_events(after=after, before=before):
            target.write(write_json(_document(exported)) + "\n")
            count += 1
    print_written(file, "events", count)


def _document(exported: ExportedEvent) -> dict[str, Any]:
    event = exported.event
    return {
        "id": str(event.id),
        "occurred_at": to_rfc3339(event.occurred_at),
        "action": event.action,
        "outcome": event.outcome,
        "actor_id": _text(event.actor_id),
        "actor_client_id": event.actor_client_id,
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
def seal() -> None:
    """Seal the events that are in no batch yet.

    The worker does this every minute; the command is for deployments without a worker.

    \b
    Example:
      flask audit seal
    """
    sizes = list(seal_events())
    print_result(
        f"{sum(sizes)} events sealed in {len(sizes)} batches.",
        events=sum(sizes),
        batches=len(sizes),
    )


@audit_group.command()
def prune() -> None:
    """Delete the events of batches older than AUDIT_RETENTION; the trail still verifies.

    The worker does this by itself; the command is for deployments without a worker.

    \b
    Example:
      flask audit prune
    """
    deleted = 0
    for count in prune_events():
        deleted += count
        print_hint(f"{deleted} deleted so far")
    days = SETTINGS.get().audit_retention.days
    text = f"{deleted} events deleted that were older than {days} days."
    print_result(text, deleted=deleted)


@audit_group.command()
def rewrap() -> None:
    """Renew the MACs of all batches under the current SECRET_KEY.

    After this, the audit trail no longer needs the former secrets in SECRET_KEY_FALLBACKS.

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
    print_result(f"{done} batches authenticated under the current SECRET_KEY.", batches=done)
