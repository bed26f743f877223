"""Origins of proxied applications.

Revision ID: 0019
Revises: 0018
"""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None

CLIENT_ID = sa.String(48).with_variant(sa.String(48, collation="C"), "postgresql")
ORIGIN = sa.String(267).with_variant(sa.String(267, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply the change: a new table, and a column that the release before leaves empty."""
    op.add_column("clients", sa.Column("origins", sa.JSON(), nullable=True))
    op.create_table(
        "client_origins",
        sa.Column("origin", ORIGIN, nullable=False),
        sa.Column("client_id", CLIENT_ID, nullable=False),
        sa.PrimaryKeyConstraint("origin", name="pk_client_origins"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.client_id"],
            name="fk_client_origins_client_id_clients",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_client_origins_client_id", "client_origins", ["client_id"])


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("client_origins")
    op.drop_column("clients", "origins")
