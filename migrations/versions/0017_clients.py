"""Clients of OAuth, their secrets, and sessions of apps.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)

CLIENT_ID = sa.String(48).with_variant(sa.String(48, collation="C"), "postgresql")

OF_CLIENT, OF_PARENT = sa.text("client_id IS NOT NULL"), sa.text("parent_id IS NOT NULL")


def upgrade() -> None:
    """Apply the change: new tables, and columns that the release before leaves empty."""
    op.add_column("sessions", sa.Column("client_id", CLIENT_ID, nullable=True))
    op.add_column("sessions", sa.Column("parent_id", sa.Uuid(), nullable=True))
    op.add_column("sessions", sa.Column("scope", sa.Text(), nullable=True))
    op.add_column("sessions", sa.Column("resource", sa.Text(), nullable=True))
    op.add_column(
        "sessions", sa.Column("is_offline", sa.Boolean(), server_default=sa.false(), nullable=False)
    )
    # Partial, so that sessions without a client or a parent pay nothing for them.
    op.create_index(
        "ix_sessions_client_id_user_id_created_at",
        "sessions",
        ["client_id", "user_id", "created_at"],
        postgresql_where=OF_CLIENT,
        sqlite_where=OF_CLIENT,
    )
    op.create_index(
        "ix_sessions_parent_id",
        "sessions",
        ["parent_id"],
        postgresql_where=OF_PARENT,
        sqlite_where=OF_PARENT,
    )
    _create_clients()
    op.create_table(
        "client_secrets",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("client_id", CLIENT_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("hint", sa.String(4), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_client_secrets"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.client_id"],
            name="fk_client_secrets_client_id_clients",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_client_secrets_client_id", "client_secrets", ["client_id"])
    op.create_table(
        "refused_redirect_uris",
        sa.Column("client_id", CLIENT_ID, nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("first_at", MOMENT, nullable=False),
        sa.Column("last_at", MOMENT, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("client_id", "digest", name="pk_refused_redirect_uris"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.client_id"],
            name="fk_refused_redirect_uris_client_id_clients",
            ondelete="CASCADE",
        ),
    )


def _create_clients() -> None:
    op.create_table(
        "clients",
        sa.Column("client_id", CLIENT_ID, nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("first_party", sa.Boolean(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("redirect_uris", sa.JSON(), nullable=False),
        sa.Column("post_logout_redirect_uris", sa.JSON(), nullable=False),
        sa.Column("backchannel_logout_uri", sa.Text(), nullable=True),
        sa.Column("home_uri", sa.Text(), nullable=True),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("resources", sa.JSON(), nullable=False),
        sa.Column("allowed_roles", sa.JSON(), nullable=False),
        sa.Column("role_prefix", sa.String(64), nullable=False),
        sa.Column("claims", sa.JSON(), nullable=False),
        sa.Column("id_token_claims", sa.String(4), nullable=False),
        sa.Column("signing_alg", sa.String(5), nullable=False),
        sa.Column("require_pkce", sa.Boolean(), nullable=False),
        sa.Column("response_mode", sa.String(9), nullable=False),
        sa.Column("min_acr", sa.String(4), nullable=True),
        sa.Column("remote_user", sa.String(8), nullable=False),
        sa.Column("access_token_ttl", sa.Integer(), nullable=True),
        sa.Column("refresh_idle_ttl", sa.Integer(), nullable=True),
        sa.Column("refresh_ttl", sa.Integer(), nullable=True),
        sa.Column("refresh_grace", sa.Integer(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("tokens_valid_from", MOMENT, nullable=True),
        sa.Column("deleted_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("client_id", name="pk_clients"),
        sa.CheckConstraint(
            "kind IN ('web', 'spa', 'native', 'machine', 'proxy')", name=op.f("ck_clients_kind")
        ),
    )


def downgrade() -> None:
    """Take the change back."""
    for table in ("refused_redirect_uris", "client_secrets", "clients"):
        op.drop_table(table)
    for index in ("ix_sessions_parent_id", "ix_sessions_client_id_user_id_created_at"):
        op.drop_index(index, "sessions")
    for column in ("is_offline", "resource", "scope", "parent_id", "client_id"):
        op.drop_column("sessions", column)
