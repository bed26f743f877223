"""Logout tokens: they report the end of sessions to an app (Back-Channel Logout 1.0 §2.4).

The transaction that ends the sessions enqueues the message, so no end is reported without having
happened, and none is forgotten. The token is signed when it is sent: it lives for two minutes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from authserve.clients.listing import find_backchannel_clients
from authserve.keys.store import SigningKey
from authserve.oidc.tokens import sign_for_others
from authserve.outbox.enqueue import enqueue_all
from authserve.sessions.ending import EndedSession

BACKCHANNEL_LOGOUT = "backchannel_logout"
"""The kind of the message."""

LOGOUT_TOKEN_TYPE = "logout+jwt"
"""The `typ` of a logout token (§2.4)."""

LOGOUT_TOKEN_TTL = timedelta(minutes=2)
"""Lifetime of a logout token (§2.6 recommends at most two minutes)."""

_EVENT = "http://schemas.openid.net/event/backchannel-logout"


def enqueue_logout_tokens(ended: Sequence[EndedSession], is_everything: bool) -> None:
    """Enqueue logout tokens for the apps of ended sessions, in the open transaction.

    Args:
        is_everything: True if no session of their users is left. An app then gets one token for all
            of a user's sessions, because one with a `sid` would leave it to guess.
    """
    clients = find_backchannel_clients({session.client_id for session in ended})
    reported = [session for session in ended if session.client_id in clients]
    payloads = list(_of_users(reported) if is_everything else _of_sessions(reported))
    if payloads:
        enqueue_all(BACKCHANNEL_LOGOUT, payloads)


def _of_users(ended: Iterable[EndedSession]) -> Iterator[dict[str, str]]:
    for client_id, user_id in dict.fromkeys((each.client_id, each.user_id) for each in ended):
        yield {"client_id": client_id, "sub": str(user_id)}


def _of_sessions(ended: Iterable[EndedSession]) -> Iterator[dict[str, str]]:
    for each in ended:
        yield {"client_id": each.client_id, "sub": str(each.user_id), "sid": str(each.id)}


def issue_logout_token(
    payload: Mapping[str, Any], *, token_id: UUID, issuer: str, key: SigningKey, now: datetime
) -> str:
    """Return the token of a message.

    Args:
        payload: of the message.
        token_id: of the message, so that an app recognizes a repeated one.
        now: the time of this try.
    """
    claims = {
        "iss": issuer,
        "aud": payload["client_id"],
        "sub": payload["sub"],
        "iat": int(now.timestamp()),
        "exp": int((now + LOGOUT_TOKEN_TTL).timestamp()),
        "jti": str(token_id),
        "events": {_EVENT: {}},
    }
    if "sid" in payload:
        claims["sid"] = payload["sid"]
    return sign_for_others(claims, key, LOGOUT_TOKEN_TYPE)
