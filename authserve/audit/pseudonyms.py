"""Translation between the user ids that events hold and the users' own ids.

The pair of a deleted user is kept.
"""

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import select

from authserve.audit.models import AuditPseudonym
from authserve.core.events import DomainEvent
from authserve.database.transactions import insert_if_absent, read_all, require_transaction
from authserve.users.lists import find_audit_id, find_ids_by_audit_id


def keep_pseudonym(event: DomainEvent) -> None:
    """Handle the deletion of an account: store its id with the id that its events hold."""
    if event.subject is None:
        return
    pair = {"audit_id": event.subject.audit_id, "user_id": event.subject.id}
    require_transaction().execute(insert_if_absent(AuditPseudonym), pair)


def find_user_ids(audit_ids: Iterable[UUID]) -> dict[UUID, UUID]:
    """Return the user ids, also of deleted users, by the ids that events hold.

    Users that a release before migration 0008 deleted have no stored pair and are omitted.
    """
    wanted = set(audit_ids)
    living = find_ids_by_audit_id(wanted)
    return living | _find_deleted(wanted - living.keys())


def get_audit_id(user_id: UUID) -> UUID:
    """Return the id that events hold of a user, existing or deleted.

    An unknown id is returned unchanged: it matches no event.
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
