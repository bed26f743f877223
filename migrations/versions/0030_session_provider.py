"""The provider by which a session was begun.

Revision ID: 0030
Revises: 0029
"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change: a column without a value for other sessions."""
    op.add_column("sessions", sa.Column("provider", sa.String(32), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("sessions", "provider")
