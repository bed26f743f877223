"""Verification of API keys for other services, which take them from their own callers."""

from collections.abc import Collection
from typing import Any

from authserve.apikeys.use import use_key
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
    account = found.account
    return {
        "active": True,
        "sufficient": found.power.issuperset(scopes),
        "sub": str(account.id),
        "key_id": str(found.id),
        "scope": " ".join(sorted(found.power)),
        "exp": int(found.row.expires_at.timestamp()),
        # As introspection of access tokens does: accounts without a username show the address.
        "username": account.username or account.email,
    }
