"""The ids that events hold of users, and the users' own ids; a deleted user's pair is kept."""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select

from authserve.audit.models import AuditPseudonym
from authserve.database.transactions import insert_if_absent, read_all, require_transaction
from authserve.users.events import UserDeleted
from authserve.users.lists import find_audit_id, find_ids_by_audit_id


def keep_pseudonym(event: UserDeleted) -> None:
    """Handle the deletion of an account: keep its id beside the one that its events hold."""
    if event.subject is None:
        return
    pair = {"audit_id": event.subject.audit_id, "user_id": event.subject.id}
    require_transaction().execute(insert_if_absent(AuditPseudonym), pair)


def find_user_ids(audit_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return user ids by the ids that events hold, of living and of deleted users.

    Users that a release before 0008 deleted have no pair and are left out.
    """
    wanted = set(audit_ids)
    living = find_ids_by_audit_id(wanted)
    return living | _find_deleted(wanted - living.keys())


def get_audit_id(user_id: UUID) -> UUID:
    """Return the id that events hold of a user, living or deleted.

    An id without a pair is returned as it is: no event holds the id of a user who never was.
    """
    living = find_audit_id(user_id)
    if living is not None:
        return living
    kept = read_all(select(AuditPseudonym.audit_id).where(AuditPseudonym.user_id == user_id))
    return kept[0].audit_id if kept else user_id


def _find_deleted(audit_ids: set[UUID]) -> dict[UUID, UUID]:
    if not audit_ids:
        return {}
    statement = select(AuditPseudonym.audit_id, AuditPseudonym.user_id)
    rows = read_all(statement.where(AuditPseudonym.audit_id.in_(audit_ids)))
    return {row.audit_id: row.user_id for row in rows}
