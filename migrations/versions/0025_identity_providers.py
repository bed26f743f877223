"""Other providers by which people sign in.

Revision ID: 0025
Revises: 0024
"""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def _key(length: int) -> sa.types.TypeEngine[str]:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    """Apply the change: a new table."""
    op.create_table(
        "identity_providers",
        sa.Column("slug", _key(32), nullable=False),
        sa.Column("preset", sa.String(16), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("issuer", _key(500), nullable=False),
        sa.Column("client_id", sa.String(255), nullable=False),
        sa.Column("secret", sa.LargeBinary(1100), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("sign_up", sa.Boolean(), nullable=False),
        sa.Column("link", sa.String(8), nullable=False),
        sa.Column("trusts_email", sa.Boolean(), nullable=False),
        sa.Column("trusts_mfa", sa.Boolean(), nullable=False),
        sa.Column("allowed_domains", sa.JSON(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("slug", name="pk_identity_providers"),
    )


def downgrade() -> None:
    """Take the change back."""
    op.drop_table("identity_providers")
