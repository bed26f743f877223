"""The language of an account, and the time of its owner's last look at new sign-ins.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change: columns that the release before leaves empty."""
    op.add_column("users", sa.Column("locale", sa.String(35), nullable=True))
    op.add_column("users", sa.Column("activity_seen_at", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    for column in ("activity_seen_at", "locale"):
        op.drop_column("users", column)
