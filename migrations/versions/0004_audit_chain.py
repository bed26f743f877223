"""Events that can only be added, and sealed batches that show what was tampered with.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
NO_HEAD = bytes(32)

REFUSED = "the audit trail is append-only"

IS_PRUNING = "EXISTS (SELECT 1 FROM audit_chain WHERE is_pruning)"
"""Both databases use one flag: a row that is set and unset inside one transaction, so no other
transaction sees it set. On SQLite the writer is alone anyway."""


def upgrade() -> None:
    """Apply the change."""
    _create_tables()
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in SQLITE_TRIGGERS if is_sqlite else POSTGRESQL_TRIGGERS:
        op.execute(statement)
    # Making a trigger locks writers out to the end, so that none falls between the two.
    op.execute("INSERT INTO audit_unsealed (event_id) SELECT id FROM audit_events")


def _create_tables() -> None:
    op.create_table(
        "audit_unsealed",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_audit_unsealed"),
    )
    op.create_table(
        "audit_seals",
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("batch_seq", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("event_id", name="pk_audit_seals"),
        sa.UniqueConstraint("batch_seq", "position", name="uq_audit_seals_batch_seq_position"),
    )
    op.create_table(
        "audit_batches",
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("event_count", sa.Integer(), nullable=False),
        sa.Column("first_event_id", sa.Uuid(), nullable=False),
        sa.Column("last_event_id", sa.Uuid(), nullable=False),
        sa.Column("oldest_at", MOMENT, nullable=False),
        sa.Column("newest_at", MOMENT, nullable=False),
        sa.Column("sealed_at", MOMENT, nullable=False),
        sa.Column("events_digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("previous_head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("event_digests", sa.LargeBinary(), nullable=True),
        sa.Column("pruned_at", MOMENT, nullable=True),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_audit_batches"),
    )
    op.create_index(
        "ix_audit_batches_pruned_at_newest_at", "audit_batches", ["pruned_at", "newest_at"]
    )
    chain = op.create_table(
        "audit_chain",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("head", sa.LargeBinary(length=32), nullable=False),
        sa.Column("mac", sa.LargeBinary(length=32), nullable=False),
        sa.Column("is_pruning", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_chain"),
    )
    row = {"id": 1, "seq": 0, "head": NO_HEAD, "mac": b"", "is_pruning": False}
    op.bulk_insert(chain, [row])


# The search path is fixed, since a restore runs triggers with an empty one.
POSTGRESQL_TRIGGERS = (
    f"""
    CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'restrict_violation';
    END $$
    """,
    f"""
    CREATE FUNCTION audit_refuse_unless_pruning() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
    BEGIN
        IF NOT {IS_PRUNING} THEN
            RAISE EXCEPTION '{REFUSED}' USING ERRCODE = 'restrict_violation';
        END IF;
        RETURN NULL;
    END $$
    """,
    """
    CREATE FUNCTION audit_note_unsealed() RETURNS trigger LANGUAGE plpgsql
    SET search_path FROM CURRENT AS $$
    BEGIN
        INSERT INTO audit_unsealed (event_id) VALUES (NEW.id);
        RETURN NULL;
    END $$
    """,
    (
        "CREATE TRIGGER audit_events_no_update BEFORE UPDATE OR TRUNCATE ON audit_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    ),
    (
        "CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_unless_pruning()"
    ),
    (
        "CREATE TRIGGER audit_events_note AFTER INSERT ON audit_events"
        " FOR EACH ROW EXECUTE FUNCTION audit_note_unsealed()"
    ),
    (
        "CREATE TRIGGER audit_details_no_update BEFORE UPDATE ON audit_details"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    ),
)

# INSERT OR REPLACE deletes without asking DELETE's triggers, so it is refused by itself.
SQLITE_TRIGGERS = (
    f"""
    CREATE TRIGGER audit_events_no_update BEFORE UPDATE ON audit_events
    BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END
    """,
    f"""
    CREATE TRIGGER audit_events_no_delete BEFORE DELETE ON audit_events WHEN NOT {IS_PRUNING}
    BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END
    """,
    f"""
    CREATE TRIGGER audit_events_no_replace BEFORE INSERT ON audit_events
    WHEN EXISTS (SELECT 1 FROM audit_events WHERE id = NEW.id)
    BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END
    """,  # noqa: S608 - nothing but our own words
    """
    CREATE TRIGGER audit_events_note AFTER INSERT ON audit_events
    BEGIN INSERT INTO audit_unsealed (event_id) VALUES (NEW.id); END
    """,
    f"""
    CREATE TRIGGER audit_details_no_update BEFORE UPDATE ON audit_details
    BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END
    """,
    f"""
    CREATE TRIGGER audit_details_no_replace BEFORE INSERT ON audit_details
    WHEN EXISTS (SELECT 1 FROM audit_details WHERE event_id = NEW.event_id)
    BEGIN SELECT RAISE(ABORT, '{REFUSED}'); END
    """,  # noqa: S608 - nothing but our own words
)

EVENT_TRIGGERS = ("audit_events_no_update", "audit_events_no_delete", "audit_events_note")
FUNCTIONS = ("audit_refuse", "audit_refuse_unless_pruning", "audit_note_unsealed")


def downgrade() -> None:
    """Take the change back."""
    if op.get_bind().dialect.name == "sqlite":
        for name in (*EVENT_TRIGGERS, "audit_events_no_replace"):
            op.execute(f"DROP TRIGGER {name}")
        for name in ("audit_details_no_update", "audit_details_no_replace"):
            op.execute(f"DROP TRIGGER {name}")
    else:
        for name in EVENT_TRIGGERS:
            op.execute(f"DROP TRIGGER {name} ON audit_events")
        op.execute("DROP TRIGGER audit_details_no_update ON audit_details")
        for name in FUNCTIONS:
            op.execute(f"DROP FUNCTION {name}()")
    for table in ("audit_chain", "audit_batches", "audit_seals", "audit_unsealed"):
        op.drop_table(table)
