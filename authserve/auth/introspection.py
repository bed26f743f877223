"""Introspection: the facts about a token that another service may know (RFC 7662 §2.2).

A feature with access tokens of its own adds their introspector to `INTROSPECTORS`.
"""

from collections.abc import Callable, Mapping
from typing import Any

from authserve.auth.current_session import authenticate_access_token
from authserve.core.container import ListSlot, Slot
from authserve.core.errors import UnauthenticatedError
from authserve.core.frozen import frozen

TOKEN_CLAIMS = ("sub", "client_id", "exp", "iat", "iss", "aud")
"""Claims of every access token that are returned unchanged."""

SESSION_CLAIMS = ("sid", "amr", "auth_time")
"""Those of access tokens that belong to a session."""

INACTIVE: Mapping[str, Any] = {"active": False}
"""The only answer about every other token: it reveals nothing (RFC 7662 §2.2)."""


@frozen(kw_only=True)
class TokenFacts:
    """The facts about a token that is good now.

    Args:
        client_id: the client that got it; None for an API key.
        audience: the one service that it is meant for; None for an API key.
        document: in the form of RFC 7662 §2.2.
    """

    client_id: str | None
    audience: str | None
    document: Mapping[str, Any]


Introspector = Callable[[str], TokenFacts | None]
"""A function that returns the facts about a token, or None if it is not good or of another kind."""

INTROSPECTORS = ListSlot[Introspector]("introspectors")
"""The introspectors of access tokens, in the order in which they are asked."""

KEY_INTROSPECTOR = Slot[Introspector]("key_introspector")
"""The introspector of API keys; filled by their feature."""


def find_token_facts(token: str) -> TokenFacts | None:
    """Return the facts about an access token of any kind, or None if it is not good now."""
    for introspector in INTROSPECTORS.get():
        facts = introspector(token)
        if facts is not None:
            return facts
    return None


def introspect(token: str) -> Mapping[str, Any]:
    """Return the facts about an access token, for a caller who may know all.

    Returns:
        `INACTIVE` if it is not an access token that is good now.
    """
    facts = find_token_facts(token)
    return INACTIVE if facts is None else facts.document


def inspect_own_token(token: str) -> TokenFacts | None:
    """Return the facts about an access token of the service itself.

    Returns:
        None if it is not a valid access token of a live session that has the level its account
        needs.
    """
    try:
        caller = authenticate_access_token(token)
    except UnauthenticatedError:
        return None
    if caller.actor.level < caller.need:
        return None
    claims, account = caller.claims, caller.account
    document = {
        "active": True,
        **{name: claims[name] for name in (*TOKEN_CLAIMS, *SESSION_CLAIMS)},
        "acr": caller.actor.level.acr,
        "token_type": "Bearer",
        # RFC 7662 §2.2: a name for people. Accounts without a username show the address.
        "username": account.username or account.email,
    }
    return TokenFacts(client_id=claims["client_id"], audience=claims["aud"], document=document)
