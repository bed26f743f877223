"""The provider of a sign-in that waits for its second step.

Revision ID: 0028
Revises: 0027
"""

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change: a column without a value for other sign-ins."""
    op.add_column("pending_sign_ins", sa.Column("provider", sa.String(32), nullable=True))


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("pending_sign_ins", "provider")
