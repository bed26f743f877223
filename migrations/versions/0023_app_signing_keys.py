"""Keys of RS256 for tokens of apps.

Revision ID: 0023
Revises: 0022
"""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None

KID = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply the change: a new table, so that the release before finds its own as it was."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "app_signing_keys",
        sa.Column("kid", KID, nullable=False),
        sa.Column("serial", sa.Integer(), nullable=False),
        sa.Column("algorithm", sa.String(length=16), nullable=False),
        sa.Column("public_pem", sa.Text(), nullable=False),
        sa.Column("private_sealed", sa.LargeBinary(), nullable=False),
        sa.Column("published_at", moment, nullable=False),
        sa.Column("active_from", moment, nullable=False),
        sa.Column("retire_at", moment, nullable=True),
        sa.PrimaryKeyConstraint("kid", name="pk_app_signing_keys"),
        sa.UniqueConstraint("serial", name="uq_app_signing_keys_serial"),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("app_signing_keys")
