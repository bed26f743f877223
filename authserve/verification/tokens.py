"""One-time tokens: their links, and creating, superseding, spending and purging their rows."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, bindparam, select, update

from authserve.core.base64url import decode_base64url, encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import KEYRING
from authserve.core.errors import InvalidTokenForUseError
from authserve.database.statements import PreparedStatement, UTCDateTime, table_of
from authserve.database.transactions import (
    delete_in_slices,
    execute_prepared,
    insert_if_absent,
    read_all,
    require_transaction,
    transaction,
)
from authserve.settings.model import SETTINGS, Settings
from authserve.verification.models import OneTimeToken
from authserve.verification.policy import LIFETIMES, TOKEN_RETENTION, Purpose, is_live

KEY_PURPOSE = "one-time-token"

ID_BYTES = 16
MAC_BYTES = 32
"""Bytes of a token: its id, which is no secret, then an HMAC of 256 bits, which cannot be guessed
(ASVS 11.5.1, 6.5.2)."""

PAGES = {
    Purpose.VERIFY_EMAIL: "/verify-email",
    Purpose.RESET_PASSWORD: "/reset-password",
    Purpose.CHANGE_EMAIL: "/confirm-email",
    Purpose.INVITATION: "/accept-invitation",
}
"""Paths of the service's own pages; a setting can replace each."""


def make_token(token_id: UUID) -> str:
    """Return the token for the link of a row: always the same, and never stored."""
    mac = KEYRING.get().mac(KEY_PURPOSE, token_id.bytes)
    return encode_base64url(token_id.bytes + mac)


def read_token(token: str) -> UUID | None:
    """Return the id of the row that a token belongs to, or None if the token is not valid.

    A token made under a former `SECRET_KEY` is valid while that key is among the fallbacks.
    """
    try:
        raw = decode_base64url(token)
    except ValueError:
        return None
    token_id, mac = raw[:ID_BYTES], raw[ID_BYTES:]
    if len(mac) != MAC_BYTES:
        return None
    is_ours = KEYRING.get().is_mac(KEY_PURPOSE, token_id, mac)
    return UUID(bytes=token_id) if is_ours else None


def make_link(purpose: Purpose, token_id: UUID, *, locale: str | None = None) -> str:
    """Return the link to mail, with the token in the fragment, which browsers do not send.

    The link leads to the configured front end or to `PUBLIC_URL`, never to the host that a request
    named.

    Args:
        locale: the reader's own choice of a language, which a page of the service is shown in.
    """
    template = _template(SETTINGS.get(), purpose, locale)
    return template.replace("{token}", make_token(token_id))


def _template(settings: Settings, purpose: Purpose, locale: str | None) -> str:
    own = {
        Purpose.VERIFY_EMAIL: settings.verify_url,
        Purpose.RESET_PASSWORD: settings.reset_url,
        Purpose.CHANGE_EMAIL: settings.email_change_url,
        Purpose.INVITATION: settings.invite_url,
    }
    query = f"?lang={locale}" if locale else ""
    return own[purpose] or f"{settings.public_url}{PAGES[purpose]}{query}#{{token}}"


def ensure_token(
    token_id: UUID, purpose: Purpose, *, user_id: UUID, email: str, requested_at: datetime
) -> bool:
    """Create the token of a message, or renew its lifetime if the message is retried.

    A new token supersedes older ones of its purpose and user. A unique index allows one live
    token, so simultaneous workers cannot leave two.

    Returns:
        False if the link has become pointless: it was spent, or a newer one replaced it.
    """
    moment = now()
    expires_at = moment + LIFETIMES[purpose]
    with transaction() as session:
        found = session.get(OneTimeToken, token_id, with_for_update=True)
        if found is not None:
            found.expires_at = expires_at
            return is_live(found, moment)
        supersede(
            (OneTimeToken.user_id == user_id)
            & (OneTimeToken.purpose == purpose)
            & (OneTimeToken.id < token_id)
        )
        result = session.execute(
            insert_if_absent(OneTimeToken),
            {
                "id": token_id,
                "purpose": purpose,
                "user_id": user_id,
                "email": email,
                "requested_at": requested_at,
                "expires_at": expires_at,
            },
        )
    return bool(result.rowcount)  # type: ignore[attr-defined]


def supersede(condition: ColumnElement[bool]) -> int:
    """Supersede the unspent tokens that match, in the open transaction; return how many."""
    result = require_transaction().execute(
        update(OneTimeToken)
        .where(OneTimeToken.used_at.is_(None), OneTimeToken.superseded_at.is_(None), condition)
        .values(superseded_at=now())
        .execution_options(synchronize_session=False)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


_TOKENS = table_of(OneTimeToken)
_SUPERSEDE_BY_ADDRESS = PreparedStatement(
    update(_TOKENS)
    .where(
        _TOKENS.c.used_at.is_(None),
        _TOKENS.c.superseded_at.is_(None),
        _TOKENS.c.email == bindparam("address"),
        _TOKENS.c.purpose == bindparam("of"),
    )
    .values(superseded_at=bindparam("moment", type_=UTCDateTime)),
    name="supersede_by_address",
)


def supersede_by_address(purpose: Purpose, email: str) -> None:
    """Supersede the unspent tokens for an address, in the open transaction.

    Every registration runs it, so the statement is prepared.
    """
    execute_prepared(_SUPERSEDE_BY_ADDRESS, {"address": email, "of": purpose, "moment": now()})


def get_live_token(token: str, purpose: Purpose) -> OneTimeToken:
    """Return the row of a token that can still be spent, without spending it.

    Raises:
        InvalidTokenForUseError: the token is invalid, of another purpose, spent, superseded or
            expired.
    """
    token_id = read_token(token)
    if token_id is not None:
        with transaction() as session:
            found = session.get(OneTimeToken, token_id)
        if found is not None and found.purpose == purpose and is_live(found, now()):
            return found
    raise InvalidTokenForUseError


def consume(token: OneTimeToken) -> None:
    """Spend a token, in the open transaction; of simultaneous callers only one succeeds.

    Raises:
        InvalidTokenForUseError: another caller spent it, a newer one replaced it, or it expired.
    """
    moment = now()
    result = require_transaction().execute(
        update(OneTimeToken)
        .where(
            OneTimeToken.id == token.id,
            OneTimeToken.used_at.is_(None),
            OneTimeToken.superseded_at.is_(None),
            OneTimeToken.expires_at > moment,
        )
        .values(used_at=moment)
        .execution_options(synchronize_session=False)
    )
    if result.rowcount != 1:  # type: ignore[attr-defined]
        raise InvalidTokenForUseError


def find_links_of(user_id: UUID, *, limit: int, before: UUID | None = None) -> Sequence[Row[Any]]:
    """Return at most `limit` links made for a user that the user may see, newest first.

    An unused link that changes the address is left out: it exists only if no other account has the
    new address, which the user must not learn.

    Args:
        before: only links older than this id, for the next page.

    Returns:
        The columns of `OneTimeToken`, which hold no secret.
    """
    is_known = (OneTimeToken.purpose != Purpose.CHANGE_EMAIL) | OneTimeToken.used_at.is_not(None)
    statement = select(OneTimeToken.__table__).where(OneTimeToken.user_id == user_id, is_known)
    if before is not None:
        statement = statement.where(OneTimeToken.id < before)
    return read_all(statement.order_by(OneTimeToken.id.desc()).limit(limit))


def purge_dead_tokens() -> Iterator[int]:
    """Delete the tokens that expired more than `TOKEN_RETENTION` ago, slice by slice.

    Yields:
        The number of rows that each committed slice deleted.
    """
    is_dead = OneTimeToken.expires_at < now() - TOKEN_RETENTION
    return delete_in_slices(OneTimeToken, OneTimeToken.id, is_dead)
