"""Sessions of browsers: their kind, and the digests of their cookies.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change: columns whose defaults the release before leaves."""
    op.execute(
        "ALTER TABLE sessions ADD COLUMN kind VARCHAR(8) DEFAULT 'api' NOT NULL "
        "CONSTRAINT ck_sessions_kind CHECK (kind IN ('api', 'browser', 'app', 'proxy'))"
    )
    op.add_column("sessions", sa.Column("cookie_digest", sa.LargeBinary(32), nullable=True))
    op.add_column("sessions", sa.Column("previous_digest", sa.LargeBinary(32), nullable=True))
    op.add_column("sessions", sa.Column("cookie_rotated_at", MOMENT, nullable=True))
    op.add_column(
        "sessions",
        sa.Column("is_remembered", sa.Boolean(), server_default=sa.false(), nullable=False),
    )


def downgrade() -> None:
    """Take the change back."""
    for column in ("is_remembered", "cookie_rotated_at", "previous_digest", "cookie_digest"):
        op.drop_column("sessions", column)
    # SQLAlchemy's own way for SQLite would copy the table, which the check does not need.
    op.execute("ALTER TABLE sessions DROP COLUMN kind")
