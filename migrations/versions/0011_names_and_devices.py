"""Usernames that are held, and devices that were used.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Apply the change: new tables alone, which the release before does not know."""
    op.create_table(
        "released_usernames",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=True),
        sa.Column("released_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"],
            ["users.id"],
            name="fk_released_usernames_user_id_users",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_released_usernames"),
    )
    op.create_index("ix_released_usernames_digest", "released_usernames", ["digest"])
    op.create_index("ix_released_usernames_user_id", "released_usernames", ["user_id"])
    op.create_index("ix_released_usernames_released_at", "released_usernames", ["released_at"])

    op.create_table(
        "seen_devices",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.Column("last_seen_at", MOMENT, nullable=False),
        sa.Column("sightings", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name="fk_seen_devices_user_id_users", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("digest", name="pk_seen_devices"),
    )
    op.create_index("ix_seen_devices_user_id", "seen_devices", ["user_id"])
    op.create_index("ix_seen_devices_last_seen_at", "seen_devices", ["last_seen_at"])


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("seen_devices")
    op.drop_table("released_usernames")
