"""The permissions of the calls for providers, for administrators.

Revision ID: 0029
Revises: 0028
"""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None

_BEFORE = (
    "audit:read clients:read clients:write roles:read roles:write sessions:read sessions:write "
    "tokens:introspect users:read users:write"
)

_AFTER = (
    "audit:read clients:read clients:write providers:read providers:write roles:read roles:write "
    "sessions:read sessions:write tokens:introspect users:read users:write"
)

_ROLES = sa.table("roles", sa.column("name", sa.String), sa.column("permissions", sa.Text))


def _give_administrators(permissions: str) -> None:
    op.execute(_ROLES.update().where(_ROLES.c.name == "admin").values(permissions=permissions))


def upgrade() -> None:
    """Apply the change: the role `admin` lists two more permissions."""
    _give_administrators(_AFTER)


def downgrade() -> None:
    """Undo the change."""
    _give_administrators(_BEFORE)
