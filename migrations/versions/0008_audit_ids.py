"""Events of deleted users keep their ids; the trail is verified every night.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "audit_pseudonyms",
        sa.Column("audit_id", sa.Uuid(), nullable=False),
        sa.Column("user_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("audit_id", name="pk_audit_pseudonyms"),
        sa.UniqueConstraint("user_id", name="uq_audit_pseudonyms_user_id"),
    )
    op.add_column("audit_events", sa.Column("actor_client_id", sa.String(48), nullable=True))
    op.add_column(
        "audit_chain",
        sa.Column("verification_begun_at", sa.DateTime(timezone=True), nullable=True),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("audit_chain", "verification_begun_at")
    op.drop_column("audit_events", "actor_client_id")
    op.drop_table("audit_pseudonyms")
