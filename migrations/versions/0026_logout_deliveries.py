"""The outcomes of logout tokens by client.

Revision ID: 0026
Revises: 0025
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)

CLIENT_ID = sa.String(48).with_variant(sa.String(48, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply the change: a new table."""
    op.create_table(
        "logout_deliveries",
        sa.Column("client_id", CLIENT_ID, nullable=False),
        sa.Column("delivered", sa.BigInteger(), nullable=False),
        sa.Column("failed", sa.BigInteger(), nullable=False),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.Column("failed_at", MOMENT, nullable=True),
        sa.Column("fault", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("client_id", name="pk_logout_deliveries"),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("logout_deliveries")
