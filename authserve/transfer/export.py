"""Export of accounts, with hashes, in the format that the import reads."""

from collections.abc import Iterator
from typing import Any

from authserve.core.clock import to_rfc3339
from authserve.rbac.assignment import roles_of_many
from authserve.users.accounts import User
from authserve.users.lists import page_of_users, position_of

PAGE_SIZE = 1_000


def export_users() -> Iterator[dict[str, Any]]:
    """Yield every account, oldest first, in bounded memory.

    Protect the file like the database: with its hashes, an attacker can try passwords offline.

    Yields:
        The fields of `transfer.rows.FIELDS` except `source_id`.
    """
    after = None
    while users := page_of_users(after=after, limit=PAGE_SIZE):
        roles = roles_of_many([user.id for user in users])
        for user in users:
            yield _document(user, roles[user.id])
        after = position_of(users[-1])


def _document(user: User, roles: tuple[str, ...]) -> dict[str, Any]:
    last_login_at = user.last_login_at
    return {
        "id": str(user.id),
        "email": user.email,
        "username": user.username,
        "display_name": user.display_name,
        "password_hash": user.password_hash,
        "email_verified": user.email_verified,
        "is_active": user.is_active,
        "created_at": to_rfc3339(user.created_at),
        "last_login_at": to_rfc3339(last_login_at) if last_login_at else None,
        "roles": list(roles),
    }
