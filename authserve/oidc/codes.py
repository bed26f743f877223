"""Authorization codes: issued to a browser, and deleted; `redeem.py` redeems them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, insert
from sqlalchemy.orm import InstrumentedAttribute

from authserve.core.clock import now
from authserve.core.crypto import digest, random_bytes
from authserve.database.statements import table_of
from authserve.database.transactions import delete_in_slices, execute
from authserve.oidc.authorize_request import AuthorizeRequest
from authserve.oidc.models import AuthorizationCode
from authserve.sessions.policy import Authentication

CODE_BYTES = 32
"""256 bits; RFC 6749 §10.10 demands at most one chance in 2^128 of a guess."""

CODE_TTL = timedelta(seconds=60)
"""Lifetime of a code (ASVS 10.4.3 allows ten minutes; an app redeems it at once)."""

KEPT = timedelta(days=1)
"""Time for which a used or expired code is kept, to recognize a later use (design)."""

_CODES = table_of(AuthorizationCode)


def issue_code(
    request: AuthorizeRequest,
    *,
    scopes: tuple[str, ...],
    user_id: UUID,
    parent_id: UUID,
    authentication: Authentication,
    now: datetime,
) -> str:
    """Store a code in the open transaction, and return its text.

    Args:
        request: decided with a grant.
        scopes: those granted.
        parent_id: the browser's session.
        authentication: by which the request was decided. The app's session starts with it, because
            a later step-up is not what the user had proven (OpenID Connect Core §2, `auth_time`).
    """
    code = random_bytes(CODE_BYTES).hex()
    values = {
        "digest": digest(code.encode()),
        "client_id": request.client_id,
        "user_id": user_id,
        "parent_id": parent_id,
        "redirect_uri": request.target.redirect_uri,
        "code_challenge": request.code_challenge,
        "scope": " ".join(scopes),
        "resource": request.resource,
        "nonce": request.nonce,
        "aal": authentication.level,
        "amr": list(authentication.amr),
        "auth_time": authentication.auth_time,
        "created_at": now,
        "expires_at": now + CODE_TTL,
    }
    execute(insert(_CODES), values)
    return code


def delete_unused_codes(client_id: str) -> None:
    """Delete the codes that a client has not redeemed yet, in the open transaction."""
    is_unused = (_CODES.c.client_id == client_id) & _CODES.c.used_at.is_(None)
    execute(delete(_CODES).where(is_unused))


def purge_dead_codes() -> Iterator[int]:
    """Delete the codes that expired more than `KEPT` ago, slice by slice; yield their numbers."""
    key: InstrumentedAttribute[bytes] = AuthorizationCode.digest
    yield from delete_in_slices(AuthorizationCode, key, _CODES.c.expires_at < now() - KEPT)
