"""When accounts were invited and activated; lists by domain, change, second factor and request.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

EMAIL_DOMAIN = {
    "postgresql": "split_part(email, '@', 2)",
    "sqlite": "substr(email, instr(email, '@') + 1)",
}

INDEXES = {
    "ix_users_name_key_id": ["name_key", "id"],
    "ix_users_updated_at_id": ["updated_at", "id"],
    "ix_users_mfa_enabled_created_at_id": ["mfa_enabled", "created_at", "id"],
}


def upgrade() -> None:
    """Apply the change.

    An account with a password counts as activated since it was made. Setting that writes each of
    those rows once; sign-ins of that time wait. Afterwards indexes are made, as in 0006.
    """
    op.add_column("users", sa.Column("invited_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("users", sa.Column("activated_at", sa.DateTime(timezone=True), nullable=True))
    users = sa.table("users", *map(sa.column, ("password_hash", "created_at", "activated_at")))
    has_password = users.c.password_hash.is_not(None)
    op.execute(sa.update(users).where(has_password).values(activated_at=users.c.created_at))
    for name, columns in INDEXES.items():
        op.create_index(name, "users", columns)
    domain = sa.text(EMAIL_DOMAIN[op.get_bind().dialect.name])
    op.create_index("ix_users_email_domain", "users", [domain, "created_at", "id"])
    op.create_index("ix_audit_events_correlation_id_id", "audit_events", ["correlation_id", "id"])


def downgrade() -> None:
    """Take the change back."""
    op.drop_index("ix_audit_events_correlation_id_id", "audit_events")
    op.drop_index("ix_users_email_domain", "users")
    for name in reversed(INDEXES):
        op.drop_index(name, "users")
    op.drop_column("users", "activated_at")
    op.drop_column("users", "invited_at")
