"""The outbox and the one-time links, read and changed without the service."""

from collections import Counter
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import select, update

from authserve.database.statements import Base
from authserve.database.transactions import read_all, transaction
from authserve.outbox.models import OutboxMessage
from authserve.verification.models import OneTimeToken


def messages(app: Flask, **columns: Any) -> list[dict[str, Any]]:
    """The messages that have these values, oldest first."""
    return _rows(app, OutboxMessage, columns)


def states(app: Flask, **columns: Any) -> dict[str, int]:
    """Return the number of messages in each state."""
    return dict(Counter(row["state"] for row in messages(app, **columns)))


def change_messages(app: Flask, message_id: UUID | None = None, **columns: Any) -> None:
    """Overwrite columns of one message, or of all."""
    statement = update(OutboxMessage).values(**columns)
    if message_id is not None:
        statement = statement.where(OutboxMessage.id == message_id)
    with app.app_context(), transaction() as session:
        session.execute(statement.execution_options(synchronize_session=False))


def links(app: Flask, **columns: Any) -> list[dict[str, Any]]:
    """The one-time tokens that have these values, oldest first."""
    return _rows(app, OneTimeToken, columns)


def live_links(app: Flask, **columns: Any) -> list[dict[str, Any]]:
    """The rows of tokens that are neither spent nor superseded."""
    return links(app, used_at=None, superseded_at=None, **columns)


def _rows(app: Flask, model: type[Base], columns: dict[str, Any]) -> list[dict[str, Any]]:
    table = model.__table__
    conditions = [table.c[name] == value for name, value in columns.items()]
    statement = select(table).where(*conditions).order_by(table.c.id)
    with app.app_context():
        return [dict(row._mapping) for row in read_all(statement)]
