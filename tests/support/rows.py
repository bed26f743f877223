"""The rows of the database, read without the service."""

from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import delete, func, select, update

from authserve.audit.models import AuditDetail, AuditEvent, AuditPseudonym
from authserve.database.transactions import read_all, transaction
from authserve.ratelimit.models import RateCounter
from authserve.rbac.models import Role
from authserve.sessions.models import Session
from authserve.users.models import User


def session_row(app: Flask, session_id: UUID | str) -> dict[str, Any] | None:
    """Every column of a session, or None without one."""
    with app.app_context():
        rows = read_all(select(Session.__table__).where(Session.id == UUID(str(session_id))))
    return dict(rows[0]._mapping) if rows else None


def live_session_row(app: Flask, session_id: UUID | str) -> dict[str, Any]:
    """Every column of a session that is there."""
    row = session_row(app, session_id)
    assert row is not None
    return row


def change_session(app: Flask, session_id: UUID | str, **columns: Any) -> None:
    """Overwrite columns of a session."""
    with app.app_context(), transaction() as session:
        session.execute(
            update(Session).where(Session.id == UUID(str(session_id))).values(**columns)
        )


def change_user(app: Flask, user_id: UUID, **columns: Any) -> None:
    """Overwrite columns of an account."""
    with app.app_context(), transaction() as session:
        session.execute(update(User).where(User.id == user_id).values(**columns))


def change_role(app: Flask, name: str, **columns: Any) -> None:
    """Overwrite columns of a role."""
    with app.app_context(), transaction() as session:
        session.execute(update(Role).where(Role.name == name).values(**columns))


def count_sessions(app: Flask, **columns: Any) -> int:
    """Return the number of sessions with these values."""
    conditions = [getattr(Session, name) == value for name, value in columns.items()]
    with app.app_context():
        return int(read_all(select(func.count(Session.id)).where(*conditions))[0][0])


def audit_trail(app: Flask, *actions: str) -> list[dict[str, Any]]:
    """The events of these actions, oldest first, each with its details; None if erased."""
    statement = (
        select(AuditEvent.__table__, AuditDetail.ip, AuditDetail.details)
        .outerjoin_from(AuditEvent, AuditDetail, AuditDetail.event_id == AuditEvent.id)
        .where(AuditEvent.action.in_(actions))
        .order_by(AuditEvent.id)
    )
    with app.app_context():
        return [dict(row._mapping) for row in read_all(statement)]


def counters(app: Flask) -> list[dict[str, Any]]:
    """Every counter."""
    with app.app_context():
        return [dict(row._mapping) for row in read_all(select(RateCounter.__table__))]


def forget_deleted_users(app: Flask) -> None:
    """Delete the ids of deleted users: the database of another service does not have them."""
    with app.app_context(), transaction() as session:
        session.execute(delete(AuditPseudonym))
