"""Second factors: TOTP, passkeys, recovery codes, pending sign-ins, and levels of sessions.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)

EMAIL = sa.String(254).with_variant(sa.String(254, collation="C"), "postgresql")

IS_CONFIRMED, IS_SET_UP = sa.text("confirmed_at IS NOT NULL"), sa.text("confirmed_at IS NULL")
IS_RESET_PENDING = sa.text("mfa_reset_at IS NOT NULL")


def upgrade() -> None:
    """Apply the change: new tables, and columns whose defaults the release before leaves.

    Requests read `sessions` before `users`, so the locks are taken in that order.
    """
    op.execute(
        "ALTER TABLE sessions ADD COLUMN aal SMALLINT DEFAULT '1' NOT NULL "
        "CONSTRAINT ck_sessions_aal CHECK (aal IN (1, 2, 3))"
    )
    op.add_column("roles", _flag("requires_mfa"))
    op.add_column("users", _count("failed_second_factors"))
    op.add_column("users", sa.Column("mfa_reset_at", MOMENT, nullable=True))
    op.create_index(
        "ix_users_mfa_reset_at",
        "users",
        ["mfa_reset_at"],
        postgresql_where=IS_RESET_PENDING,
        sqlite_where=IS_RESET_PENDING,
    )
    _create_totp_factors()
    _create_passkeys()
    _create_recovery_codes()
    _create_pending_sign_ins()
    _create_email_codes()
    op.create_table(
        "spent_challenges",
        sa.Column("nonce", sa.LargeBinary(16), nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("nonce", name="pk_spent_challenges"),
    )
    op.create_index("ix_spent_challenges_expires_at", "spent_challenges", ["expires_at"])


def _flag(name: str) -> "sa.Column[bool]":
    return sa.Column(name, sa.Boolean(), server_default=sa.false(), nullable=False)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), server_default="0", nullable=False)


def _of_user(table: str) -> tuple["sa.Column[object]", sa.ForeignKeyConstraint]:
    return sa.Column("user_id", sa.Uuid(), nullable=False), sa.ForeignKeyConstraint(
        ["user_id"], ["users.id"], name=f"fk_{table}_user_id_users", ondelete="CASCADE"
    )


def _create_totp_factors() -> None:
    op.create_table(
        "totp_factors",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_of_user("totp_factors"),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("last_step", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bound_to", sa.Uuid(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=True),
        sa.Column("confirmed_at", MOMENT, nullable=True),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_totp_factors"),
    )
    op.create_index("ix_totp_factors_user_id", "totp_factors", ["user_id"])
    op.create_index("ix_totp_factors_expires_at", "totp_factors", ["expires_at"])
    for name, where in (("confirmed", IS_CONFIRMED), ("set_up", IS_SET_UP)):
        op.create_index(
            f"uq_totp_factors_user_id_{name}",
            "totp_factors",
            ["user_id"],
            unique=True,
            postgresql_where=where,
            sqlite_where=where,
        )


def _create_passkeys() -> None:
    op.create_table(
        "passkeys",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_of_user("passkeys"),
        sa.Column("credential_id", sa.LargeBinary(1023), nullable=False),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("algorithm", sa.Integer(), nullable=False),
        sa.Column("rp_id", sa.String(253), nullable=False),
        sa.Column("sign_count", sa.BigInteger(), nullable=False),
        sa.Column("backup_eligible", sa.Boolean(), nullable=False),
        sa.Column("backed_up", sa.Boolean(), nullable=False),
        sa.Column("transports", sa.JSON(), nullable=False),
        sa.Column("aaguid", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("last_used_at", MOMENT, nullable=True),
        sa.Column("flagged_at", MOMENT, nullable=True),
        _flag("counter_ignored"),
        sa.PrimaryKeyConstraint("id", name="pk_passkeys"),
        sa.UniqueConstraint("credential_id", name="uq_passkeys_credential_id"),
    )
    op.create_index("ix_passkeys_user_id_id", "passkeys", ["user_id", "id"])


def _create_recovery_codes() -> None:
    op.create_table(
        "recovery_codes",
        *_of_user("recovery_codes"),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("user_id", "digest", name="pk_recovery_codes"),
    )


def _create_pending_sign_ins() -> None:
    op.create_table(
        "pending_sign_ins",
        sa.Column("id", sa.Uuid(), nullable=False),
        *_of_user("pending_sign_ins"),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("secret_digest", sa.LargeBinary(32), nullable=False),
        sa.Column("proofs", sa.JSON(), nullable=False),
        sa.Column("password_version", sa.Integer(), nullable=False),
        sa.Column("device_id", sa.String(32), nullable=True),
        sa.Column("ip", sa.String(45), nullable=True),
        sa.Column("user_agent", sa.String(512), nullable=True),
        _count("attempts"),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_pending_sign_ins"),
    )
    op.create_index("ix_pending_sign_ins_user_id", "pending_sign_ins", ["user_id"])
    op.create_index("ix_pending_sign_ins_expires_at", "pending_sign_ins", ["expires_at"])


def _create_email_codes() -> None:
    op.create_table(
        "email_codes",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("handle_digest", sa.LargeBinary(32), nullable=False),
        *_of_user("email_codes"),
        sa.Column("purpose", sa.String(16), nullable=False),
        sa.Column("email", EMAIL, nullable=False),
        _count("attempts"),
        sa.Column("requested_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_email_codes"),
        sa.UniqueConstraint("handle_digest", name="uq_email_codes_handle_digest"),
    )
    op.create_index("ix_email_codes_user_id", "email_codes", ["user_id"])
    op.create_index("ix_email_codes_email", "email_codes", ["email"])
    op.create_index("ix_email_codes_expires_at", "email_codes", ["expires_at"])


def downgrade() -> None:
    """Take the change back."""
    for table in (
        "spent_challenges",
        "email_codes",
        "pending_sign_ins",
        "recovery_codes",
        "passkeys",
        "totp_factors",
    ):
        op.drop_table(table)
    op.drop_index("ix_users_mfa_reset_at", "users")
    op.drop_column("users", "mfa_reset_at")
    op.drop_column("users", "failed_second_factors")
    op.drop_column("roles", "requires_mfa")
    # SQLAlchemy's own way for SQLite would copy the table, which the check does not need.
    op.execute("ALTER TABLE sessions DROP COLUMN aal")
