"""Two indexes of sessions that serve no statement go.

Revision ID: 0013
Revises: 0012
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change: neither this release nor the one before uses them."""
    op.drop_index("ix_sessions_expires_at", "sessions")
    op.drop_index("ix_sessions_revoked_at", "sessions")


def downgrade() -> None:
    """Take the change back."""
    op.create_index("ix_sessions_revoked_at", "sessions", ["revoked_at"])
    op.create_index("ix_sessions_expires_at", "sessions", ["expires_at"])
