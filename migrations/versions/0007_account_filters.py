"""Times of invitation and activation; lists by domain, change, second factor and request.

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

    Indexes first: while one is made, readers continue. The columns take PostgreSQL's exclusive lock
    of `users` until the end, which is why no row with a password is written there. Revision 0013
    locks `sessions`, which requests read before `users`. So the locks are taken in that order, or
    an upgrade over both revisions would deadlock with the requests.
    """
    for name, columns in INDEXES.items():
        op.create_index(name, "users", columns)
    domain = sa.text(EMAIL_DOMAIN[op.get_bind().dialect.name])
    op.create_index("ix_users_email_domain", "users", [domain, "created_at", "id"])
    op.create_index("ix_audit_events_correlation_id_id", "audit_events", ["correlation_id", "id"])
    if op.get_bind().dialect.name == "postgresql":
        op.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
    op.add_column("users", sa.Column("invited_at", sa.DateTime(timezone=True), nullable=True))
    _add_activated_at()


def _add_activated_at() -> None:
    """Add the column; an account with a password counts as activated when this runs."""
    users = sa.table("users", sa.column("password_hash"), sa.column("activated_at"))
    if op.get_bind().dialect.name == "postgresql":
        # A default that is there when the column comes is kept in the catalogue for all rows
        # (PostgreSQL's manual, ALTER TABLE, Notes): nothing is written for a million accounts.
        op.execute("ALTER TABLE users ADD COLUMN activated_at timestamptz DEFAULT now()")
        op.execute("ALTER TABLE users ALTER COLUMN activated_at DROP DEFAULT")
        changes = sa.update(users).where(users.c.password_hash.is_(None))
        op.execute(changes.values(activated_at=sa.null()))
    else:
        op.add_column("users", sa.Column("activated_at", sa.DateTime(), nullable=True))
        changes = sa.update(users).where(users.c.password_hash.is_not(None))
        op.execute(changes.values(activated_at=sa.text("strftime('%Y-%m-%d %H:%M:%f000', 'now')")))


def downgrade() -> None:
    """Take the change back."""
    op.drop_index("ix_audit_events_correlation_id_id", "audit_events")
    op.drop_index("ix_users_email_domain", "users")
    for name in reversed(INDEXES):
        op.drop_index(name, "users")
    op.drop_column("users", "activated_at")
    op.drop_column("users", "invited_at")
