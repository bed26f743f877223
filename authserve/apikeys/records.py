"""API keys of many accounts at once, with their digests, for export and import.

A digest opens nothing, since a key has 256 random bits. With it, a key still works after a move.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate, validates_schema
from sqlalchemy import Row, select

from authserve.apikeys.models import APIKey
from authserve.apikeys.policy import MAX_LIFETIME, MAX_SCOPES, NAME_MAX_LENGTH, is_scope
from authserve.core.base64url import encode_base64url
from authserve.core.clock import to_rfc3339, to_rfc3339_or_none
from authserve.core.ids import new_id
from authserve.core.key_text import HINT_LENGTH
from authserve.core.levels import Level
from authserve.database.statements import table_of
from authserve.database.transactions import execute, insert_if_absent, read_all
from authserve.http.fields import Base64Url, DisplayName, MomentInput
from authserve.http.schemas import StrictSchema
from authserve.rbac.policy import to_scope

_KEYS = table_of(APIKey)

DIGEST_LENGTH = 43
"""Characters of a SHA-256 in base64url without padding (RFC 4648 §5)."""


def _require_scope(name: str) -> None:
    if not is_scope(name):
        raise ValidationError("Not a scope of API keys.")


class KeyRecordSchema(StrictSchema):
    """A key with its digest."""

    name = DisplayName(max_length=NAME_MAX_LENGTH, required=True)
    digest = Base64Url(DIGEST_LENGTH, required=True, validate=validate.Length(equal=32))
    hint = fields.String(required=True, validate=validate.Length(equal=HINT_LENGTH))
    scopes = fields.List(
        fields.String(validate=_require_scope),
        required=True,
        validate=validate.Length(1, MAX_SCOPES),
    )
    aal = fields.Integer(required=True, strict=True, validate=validate.OneOf(list(Level)))
    created_at = MomentInput(required=True)
    expires_at = MomentInput(required=True)
    last_used_at = MomentInput(load_default=None, allow_none=True)

    @validates_schema
    def _require_lifetime(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if data["expires_at"] - data["created_at"] > MAX_LIFETIME:
            fault = f"A key lives {MAX_LIFETIME.days} days at most."
            raise ValidationError(fault, "expires_at")


def read_key_documents(user_ids: Sequence[UUID]) -> Mapping[UUID, list[dict[str, Any]]]:
    """Return the keys of accounts, oldest first, in the form that `KeyRecordSchema` loads."""
    found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    statement = select(_KEYS).where(_KEYS.c.user_id.in_(user_ids)).order_by(_KEYS.c.id)
    for row in read_all(statement):
        found[row.user_id].append(_document(row))
    return found


def _document(row: Row[Any]) -> dict[str, Any]:
    return {
        "name": row.name,
        "digest": encode_base64url(row.digest),
        "hint": row.hint,
        "scopes": row.scope.split(),
        "aal": row.aal,
        "created_at": to_rfc3339(row.created_at),
        "expires_at": to_rfc3339(row.expires_at),
        "last_used_at": to_rfc3339_or_none(row.last_used_at),
    }


def write_key_records(records: Mapping[UUID, Sequence[Mapping[str, Any]]]) -> None:
    """Store the keys of new accounts, in the open transaction.

    A key that another account has is left out: only a changed file has one twice.

    Args:
        records: by account, as `KeyRecordSchema` loads them.
    """
    rows = [
        {"id": new_id(), "user_id": user_id, **_columns(record)}
        for user_id, keys in records.items()
        for record in keys
    ]
    if rows:
        execute(insert_if_absent(APIKey), rows)


def _columns(record: Mapping[str, Any]) -> dict[str, Any]:
    others = {name: value for name, value in record.items() if name != "scopes"}
    return {**others, "scope": to_scope(record["scopes"])}
