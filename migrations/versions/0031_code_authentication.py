"""The authentication that an authorization code was issued by.

Revision ID: 0031
Revises: 0030
"""

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change: columns without a value for codes of the release before."""
    op.add_column("authorization_codes", sa.Column("aal", sa.SmallInteger(), nullable=True))
    op.add_column("authorization_codes", sa.Column("amr", sa.JSON(), nullable=True))
    op.add_column(
        "authorization_codes", sa.Column("auth_time", sa.DateTime(timezone=True), nullable=True)
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_column("authorization_codes", "auth_time")
    op.drop_column("authorization_codes", "amr")
    op.drop_column("authorization_codes", "aal")
