"""Verification of API keys for other services, which take them from their own callers."""

from collections.abc import Collection
from typing import Any

from authserve.apikeys.queries import FoundKey
from authserve.apikeys.use import use_key
from authserve.auth.introspection import TokenFacts
from authserve.core.clock import now
from authserve.core.errors import UnauthenticatedError


def verify_key(text: str, *, scopes: Collection[str]) -> dict[str, Any]:
    """Return what another service may know of a key, in the form of RFC 7662 §2.2.

    It counts as a use of the key, without an address: the service's own would mislead the owner.

    Args:
        text: what the service's caller presents.
        scopes: those that the service needs for its call; perhaps none.

    Returns:
        `{"active": False}` and nothing else if it is not a good key. `sufficient` is False if one
        of `scopes` has no effect now.
    """
    try:
        found = use_key(text, ip=None, now=now())
    except UnauthenticatedError:
        return {"active": False}
    return {**_document(found), "sufficient": found.effective_scopes.issuperset(scopes)}


def inspect_key(text: str) -> TokenFacts | None:
    """Return the facts about a key, or None if it is not good, for a client that may know all."""
    try:
        found = use_key(text, ip=None, now=now())
    except UnauthenticatedError:
        return None
    return TokenFacts(client_id=None, audience=None, document=_document(found))


def _document(found: FoundKey) -> dict[str, Any]:
    account = found.account
    return {
        "active": True,
        "sub": str(account.id),
        "key_id": str(found.id),
        "scope": " ".join(sorted(found.effective_scopes)),
        "exp": int(found.row.expires_at.timestamp()),
        # As introspection of access tokens does: accounts without a username show the address.
        "username": account.username or account.email,
    }
