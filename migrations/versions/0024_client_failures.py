"""The last failures of clients.

Revision ID: 0024
Revises: 0023
"""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)

CLIENT_ID = sa.String(48).with_variant(sa.String(48, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply the change: a new table."""
    op.create_table(
        "client_failures",
        sa.Column("client_id", CLIENT_ID, nullable=False),
        sa.Column("reason", sa.String(40), nullable=False),
        sa.Column("detail", sa.String(200), nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("correlation_id", sa.String(64), nullable=True),
        sa.Column("reported_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("client_id", "reason", "detail", name="pk_client_failures"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.client_id"],
            name="fk_client_failures_client_id_clients",
            ondelete="CASCADE",
        ),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("client_failures")
