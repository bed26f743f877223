"""The statement behind every API key: the key, its owner and the owner's roles, in one SELECT."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, Row, bindparam, select

from authserve.apikeys.models import APIKey
from authserve.apikeys.policy import KeyRefusal, effective_scopes_of, find_refusal, permissions_of
from authserve.auth.queries import OWNER_COLUMNS, account_of, actor_of, names_of_roles
from authserve.core.actor import Actor
from authserve.core.crypto import digest
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.database.statements import PreparedStatement, table_of
from authserve.database.transactions import read_all
from authserve.http.callers import Account
from authserve.rbac.models import Role, UserRole
from authserve.users.models import User

_KEYS, _USERS, _ROLES, _USER_ROLES = map(table_of, (APIKey, User, Role, UserRole))

_KEY_CHECK = PreparedStatement(
    select(
        _KEYS.c.id.label("key_id"),
        _KEYS.c.scope,
        _KEYS.c.aal,
        _KEYS.c.expires_at,
        _KEYS.c.last_used_at,
        *OWNER_COLUMNS,
    )
    .join_from(_KEYS, _USERS, _USERS.c.id == _KEYS.c.user_id)
    .outerjoin(_USER_ROLES, _USER_ROLES.c.user_id == _USERS.c.id)
    .outerjoin(_ROLES, _ROLES.c.name == _USER_ROLES.c.role_name)
    .where(_KEYS.c.digest == bindparam("presented_digest", type_=LargeBinary)),
    name="api_key_check",
)


@frozen(kw_only=True)
class FoundKey:
    """A key as the check reads it; it may be expired, or its owner deactivated.

    Args:
        rows: the columns of the key and of its owner's account, once for each role.
        actor: the owner, with the permissions that the key has now.
        effective_scopes: the key's scopes that have effect now.
    """

    rows: Sequence[Row[Any]]
    actor: Actor
    effective_scopes: frozenset[str]

    @property
    def row(self) -> Row[Any]:
        """The columns of the key and of its owner's account."""
        return self.rows[0]

    @property
    def id(self) -> UUID:
        """The id of the key."""
        key_id: UUID = self.row.key_id
        return key_id

    def find_refusal(self, now: datetime) -> KeyRefusal | None:
        """Return why the key is refused now, or None if it is good."""
        row = self.row
        return find_refusal(expires_at=row.expires_at, is_owner_active=row.is_active, now=now)

    @property
    def account(self) -> Account:
        """The owner's account, for views."""
        return account_of(self.row, names_of_roles(self.rows))


def find_key(text: str) -> FoundKey | None:
    """Return the key with this text, or None if no user has it.

    Args:
        text: a key whose form and check sum are right.
    """
    rows = read_all(_KEY_CHECK, {"presented_digest": digest(text.encode())})
    return _found_key(rows) if rows else None


def _found_key(rows: Sequence[Row[Any]]) -> FoundKey:
    """Return the key of the rows, of which there is one for each role of its owner."""
    row = rows[0]
    owner = actor_of(rows, level=Level(row.aal))
    scopes = effective_scopes_of(
        row.scope.split(),
        permissions=owner.permissions,
        holds_everything=owner.holds_everything,
    )
    actor = replace(
        owner,
        api_key_id=row.key_id,
        permissions=permissions_of(scopes),
        holds_everything=False,
        # A key never steps up, so roles that need a second factor stay without effect.
        sleeping_permissions=frozenset(),
        is_sleeping_admin=False,
    )
    return FoundKey(rows=rows, actor=actor, effective_scopes=scopes)
