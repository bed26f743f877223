"""Identities of many accounts at once, for export and import."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from marshmallow import fields, validate
from sqlalchemy import Row, select

from authserve.core.clock import to_rfc3339, to_rfc3339_or_none
from authserve.core.identifiers import EMAIL_MAX_LENGTH
from authserve.core.ids import new_id
from authserve.database.statements import table_of
from authserve.database.transactions import execute, insert_if_absent, read_all
from authserve.federation.configuration import MAX_ISSUER_LENGTH
from authserve.federation.id_tokens import MAX_SUBJECT_LENGTH
from authserve.federation.identities import find_identities
from authserve.federation.models import Identity
from authserve.http.fields import MomentInput
from authserve.http.schemas import StrictSchema

_TABLE = table_of(Identity)

_ISSUER, _SUBJECT = r"[\x21-\x7e]+\Z", r"[\x20-\x7e]+\Z"
"""ASCII: issuers are URLs, and subjects may have spaces (`id_tokens`, OpenID Connect Core §2)."""


def _key(pattern: str, max_length: int) -> fields.String:
    rules = [
        validate.Length(1, max_length),
        validate.Regexp(pattern, error="Only printable ASCII; an issuer has no spaces."),
    ]
    return fields.String(required=True, validate=validate.And(*rules))


class IdentityRecordSchema(StrictSchema):
    """An identity; the provider itself is no part of an account."""

    issuer = _key(_ISSUER, MAX_ISSUER_LENGTH)
    subject = _key(_SUBJECT, MAX_SUBJECT_LENGTH)
    email = fields.String(
        load_default=None, allow_none=True, validate=validate.Length(1, EMAIL_MAX_LENGTH)
    )
    created_at = MomentInput(required=True)
    last_used_at = MomentInput(load_default=None, allow_none=True)


def read_identity_documents(user_ids: Sequence[UUID]) -> Mapping[UUID, list[dict[str, Any]]]:
    """Return the identities of accounts, oldest first, in the form of `IdentityRecordSchema`."""
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    statement = select(_TABLE).where(_TABLE.c.user_id.in_(user_ids)).order_by(_TABLE.c.id)
    for row in read_all(statement):
        found[row.user_id].append(_document(row))
    return found


def _document(row: Row[Any]) -> dict[str, Any]:
    return {
        "issuer": row.issuer,
        "subject": row.subject,
        "email": row.email,
        "created_at": to_rfc3339(row.created_at),
        "last_used_at": to_rfc3339_or_none(row.last_used_at),
    }


def write_identity_records(records: Mapping[UUID, Sequence[Mapping[str, Any]]]) -> None:
    """Store the identities of new accounts, in the open transaction.

    An identity that another account has stays with that account.

    Args:
        records: by account, as `IdentityRecordSchema` loads them.
    """
    rows = [
        {"id": new_id(), "user_id": user_id, **record}
        for user_id, identities in records.items()
        for record in identities
    ]
    if rows:
        execute(insert_if_absent(Identity), rows)


def export_identities(user_id: UUID) -> Iterator[dict[str, Any]]:
    """Yield the identities of an account, for the copy of a user's data."""
    return (asdict(identity) for identity in find_identities(user_id))
