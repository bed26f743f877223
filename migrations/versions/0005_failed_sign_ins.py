"""The count of an account's consecutive wrong passwords.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change; the default is kept in the catalogue, so no row is written."""
    column = sa.Column("failed_sign_ins", sa.Integer(), server_default="0", nullable=False)
    op.add_column("users", column)


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("users", "failed_sign_ins")
