"""Export of accounts, with hashes, in the format that the import reads."""

from collections.abc import Iterator
from typing import Any

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import to_rfc3339, to_rfc3339_or_none
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.mfa.records import read_records
from authserve.rbac.assignment import roles_of_many
from authserve.transfer.account_parts import ACCOUNT_PARTS
from authserve.transfer.factors import factors_document
from authserve.users.accounts import User
from authserve.users.lists import page_of_users, position_of

PAGE_SIZE = 1_000


def export_users(*, with_secrets: bool = False) -> Iterator[dict[str, Any]]:
    """Yield every account, oldest first, in bounded memory.

    Protect the file like the database: with its hashes, an attacker can try passwords offline.

    Args:
        with_secrets: add `mfa`, the second factors: TOTP secrets, passkeys and digests of codes.
            With these, an attacker needs no second factor. The export is audited before the first
            account is yielded.

    Yields:
        The fields of `transfer.rows.FIELDS` except `source_id`, and a list for each of
        `ACCOUNT_PARTS`.

    Raises:
        FactorUnavailableError: a TOTP secret cannot be decrypted.
    """
    after = None
    if with_secrets:
        with transaction(durable=True):
            request = RequestInfo(user_agent="flask users export")
            emit(AuditAction.USERS_EXPORTED, actor=OPERATOR, request=request)
    while users := page_of_users(after=after, limit=PAGE_SIZE):
        roles = roles_of_many([user.id for user in users])
        factors = read_records([user.id for user in users]) if with_secrets else {}
        parts = {part.name: part.read([user.id for user in users]) for part in ACCOUNT_PARTS.get()}
        for user in users:
            document = _document(user, roles[user.id])
            document |= {name: found.get(user.id, []) for name, found in parts.items()}
            if with_secrets:
                found = factors[user.id]
                document["mfa"] = factors_document(found, mfa_enabled=user.mfa_enabled)
            yield document
        after = position_of(users[-1])


def _document(user: User, roles: tuple[str, ...]) -> dict[str, Any]:
    return {
        "id": str(user.id),
        "email": user.email,
        "username": user.username,
        "display_name": user.display_name,
        "locale": user.locale,
        "password_hash": user.password_hash,
        "email_verified": user.email_verified,
        "is_active": user.is_active,
        "created_at": to_rfc3339(user.created_at),
        "last_login_at": to_rfc3339_or_none(user.last_login_at),
        "roles": list(roles),
    }
