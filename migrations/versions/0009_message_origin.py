"""Messages know the request that caused them, and how often they were refused for good.

Revision ID: 0009
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; the release before this one writes neither column."""
    op.add_column("outbox_messages", sa.Column("correlation_id", sa.String(64), nullable=True))
    op.add_column(
        "outbox_messages",
        sa.Column("refusals", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("outbox_messages", "refusals")
    op.drop_column("outbox_messages", "correlation_id")
