"""The command `flask worker`, and the group `flask outbox` to inspect and retry messages."""

import logging
import signal
from typing import Any
from uuid import UUID

import click
from flask import current_app
from flask.cli import with_appcontext
from sqlalchemy import Row

from authserve.core.cli import BaseCommand, Group
from authserve.core.cli_output import print_document, print_result, print_rows
from authserve.core.clock import to_rfc3339, to_rfc3339_or_none
from authserve.outbox.inspect import get_message, list_messages, retry
from authserve.outbox.models import OutboxMessage
from authserve.outbox.policy import MessageState
from authserve.outbox.worker import (
    MESSAGE_HANDLERS,
    PURGE_TASKS,
    SCHEDULED_JOBS,
    StopSignal,
    Worker,
)

logger = logging.getLogger(__name__)

outbox_group = Group("outbox", help="Messages: those pending, sent and given up.")


@click.command("worker", cls=BaseCommand)
@with_appcontext
def worker_command() -> None:
    """Deliver mail, seal the audit trail and delete dead rows, until stopped.

    Any number of workers can run, on any number of machines. On SIGTERM or Ctrl-C a worker
    finishes the current delivery, then stops.

    \b
    Example:
      flask worker
    """
    stop = StopSignal()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop.set)
    app = current_app._get_current_object()  # type: ignore[attr-defined]
    worker = Worker(
        dict(MESSAGE_HANDLERS.get()),
        PURGE_TASKS.get(),
        jobs=SCHEDULED_JOBS.get(),
        context=app.app_context,
    )
    logger.info("worker started")
    worker.run(stop)
    logger.info("worker stopped")


@outbox_group.command("list")
@click.option("--state", type=click.Choice([state.value for state in MessageState]))
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
def list_(state: str | None, limit: int) -> None:
    """List messages, newest first: id, state, kind, attempts, creation time, last error.

    \b
    Example:
      flask outbox list --state dead
    """
    print_rows(
        map(_row, list_messages(state=MessageState(state) if state else None, limit=limit)),
        columns={
            "ID": "id",
            "STATE": "state",
            "KIND": "kind",
            "ATTEMPTS": "attempts",
            "CREATED": "created_at",
            "LAST ERROR": "last_error",
        },
        empty="There is no such message.",
    )


@outbox_group.command()
@click.argument("message_id", type=click.UUID)
def show(message_id: UUID) -> None:
    """Show one message as JSON.

    \b
    Example:
      flask outbox show 01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f
    """
    print_document(_document(get_message(message_id)))


@outbox_group.command("retry")
@click.argument("message_id", type=click.UUID)
def retry_(message_id: UUID) -> None:
    """Let the worker retry a message that was given up, for another 24 hours.

    \b
    Example:
      flask outbox retry 01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f
    """
    retry(message_id)
    print_result("The worker will try it again.", id=str(message_id), state=MessageState.PENDING)


def _row(message: Row[Any]) -> dict[str, Any]:
    return {
        "id": str(message.id),
        "state": message.state,
        "kind": message.kind,
        "attempts": message.attempts,
        "correlation_id": message.correlation_id,
        "created_at": to_rfc3339(message.created_at),
        "last_error": message.last_error,
    }


def _document(message: OutboxMessage) -> dict[str, Any]:
    moments = ("created_at", "next_attempt_at", "leased_until", "finished_at")
    return {
        "id": str(message.id),
        "kind": message.kind,
        "state": message.state,
        "user_id": str(message.user_id) if message.user_id else None,
        "payload": message.payload,
        "attempts": message.attempts,
        "last_error": message.last_error,
        **{name: to_rfc3339_or_none(getattr(message, name)) for name in moments},
    }
