"""Events can be added and read; the database itself refuses everything else."""

from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update
from sqlalchemy.exc import IntegrityError

from authserve.audit.models import AuditChain, AuditDetail, AuditEvent
from authserve.database.transactions import db, read_all, transaction
from tests.support.marks import both_databases, on_postgresql, on_sqlite
from tests.support.trail import details_of, event_ids, event_row, write_events

pytestmark = [both_databases, pytest.mark.usefixtures("context")]

REFUSED = "the audit trail is append-only"


def refuses(statement: Any, parameters: Any = None) -> None:
    with pytest.raises(IntegrityError, match=REFUSED), transaction() as session:
        session.execute(statement, parameters)


def test_no_column_of_an_event_can_be_changed() -> None:
    write_events()
    for column in AuditEvent.__table__.columns:
        refuses(text(f"UPDATE audit_events SET {column.name} = {column.name}"))


def test_no_event_can_be_deleted() -> None:
    (event_id,) = write_events()
    refuses(delete(AuditEvent).where(AuditEvent.id == event_id))
    assert event_ids() == [event_id]


@on_postgresql
def test_events_cannot_be_truncated() -> None:
    write_events()
    refuses(text("TRUNCATE audit_events CASCADE"))


@on_sqlite
@pytest.mark.parametrize("table", ["audit_events", "audit_details"])
def test_nothing_can_be_replaced(table: str) -> None:
    write_events()
    refuses(text(f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}"))


def test_an_insert_cannot_turn_into_an_update() -> None:
    write_events()
    refuses(
        text(
            "INSERT INTO audit_events SELECT * FROM audit_events WHERE true"
            " ON CONFLICT (id) DO UPDATE SET action = 'role.changed'"
        )
    )


def test_details_can_be_erased_and_not_changed() -> None:
    (event_id,) = write_events()
    refuses(update(AuditDetail).values(ip="198.51.100.1"))
    with transaction() as session:
        session.execute(delete(AuditDetail))
    assert event_ids() == [event_id]
    assert not details_of(event_id)


def test_only_the_transaction_that_prunes_can_delete() -> None:
    write_events(2)
    with transaction() as session:
        session.execute(update(AuditChain).values(is_pruning=True))
        session.execute(delete(AuditEvent))
        session.execute(update(AuditChain).values(is_pruning=False))
    assert event_ids() == []
    write_events()
    refuses(delete(AuditEvent))


@on_postgresql
def test_others_cannot_delete_while_one_prunes(app: Any) -> None:
    write_events()
    with transaction() as session:
        session.execute(update(AuditChain).values(is_pruning=True))
        with app.app_context():
            refuses(delete(AuditEvent))
        session.execute(update(AuditChain).values(is_pruning=False))


def test_every_new_event_is_noted_as_unsealed() -> None:
    written = write_events(2)
    with transaction() as session:
        row = event_row()
        session.execute(insert(AuditEvent), row)
    noted = read_all(select(db.metadata.tables["audit_unsealed"].c.event_id))
    assert sorted(row.event_id for row in noted) == sorted([*written, row["id"]])
