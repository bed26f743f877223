"""Pending identities: confirmed by a provider, not linked yet; a signed token in a cookie.

A provider has confirmed the identity. The person still has to show which account it belongs to, to
name an address for a new one, or to verify that of the account which has it. Nothing is stored, and
nothing is completed by a mailed link: a person who follows one could be linking a stranger's
identity.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from authserve.core.errors import UnauthenticatedError
from authserve.core.frozen import frozen
from authserve.federation.errors import UnknownStateError
from authserve.federation.identities import ProviderIdentity
from authserve.settings.model import SETTINGS
from authserve.tokens.signing import TokenKind, sign, verify

PENDING_IDENTITY = TokenKind(
    # Published in docs/security-design.md, and the name of a key: it stays.
    name="identity-wish",
    header_type="identity-wish+jwt",
    claims=("provider", "issuer", "subject", "mfa"),
)

PENDING_IDENTITY_TTL = timedelta(minutes=30)
"""Lifetime: time to sign in in another way, or for a reset by mail (design)."""

_NO_ACCOUNT = UUID(int=0)
"""`sub` if a new account is needed (RFC 9562 §5.9)."""


@frozen(kw_only=True)
class PendingIdentity:
    """An identity that a provider has confirmed, and whose account is not decided yet.

    Args:
        provider: the slug of its provider.
        account_id: of the account that has the address; None while the address of a new account
            is missing.
        address: that account's, in canonical form; None for a new account.
        display_name: for a new account.
        domain: that the provider hosts the person's account in; see `policy.Claimed`.
        has_two_factors: True if the provider says that it asked for two.
    """

    provider: str
    identity: ProviderIdentity
    account_id: UUID | None = None
    address: str | None = None
    display_name: str | None = None
    domain: str | None = None
    has_two_factors: bool = False


def write_pending_identity(pending: PendingIdentity, *, now: datetime) -> str:
    """Return the token of a pending identity."""
    optional = {
        "email": pending.identity.email,
        "address": pending.address,
        "name": pending.display_name,
        "domain": pending.domain,
    }
    claims: dict[str, Any] = {
        "sub": str(pending.account_id or _NO_ACCOUNT),
        "provider": pending.provider,
        "issuer": pending.identity.issuer,
        "subject": pending.identity.subject,
        "mfa": pending.has_two_factors,
        **{name: value for name, value in optional.items() if value is not None},
    }
    return sign(
        PENDING_IDENTITY,
        claims,
        public_url=SETTINGS.get().public_url,
        issued_at=now,
        expires_at=now + PENDING_IDENTITY_TTL,
    )


def read_pending_identity(token: str, *, now: datetime) -> PendingIdentity:
    """Return the pending identity of a token.

    Raises:
        UnknownStateError: it is not one of this service, or has expired.
    """
    try:
        claims = verify(PENDING_IDENTITY, token, public_url=SETTINGS.get().public_url, now=now)
    except UnauthenticatedError as error:
        raise UnknownStateError from error
    return _pending_identity_of(claims)


def _pending_identity_of(claims: Mapping[str, Any]) -> PendingIdentity:
    account_id = UUID(claims["sub"])
    return PendingIdentity(
        provider=claims["provider"],
        identity=ProviderIdentity(
            issuer=claims["issuer"], subject=claims["subject"], email=claims.get("email")
        ),
        account_id=None if account_id == _NO_ACCOUNT else account_id,
        address=claims.get("address"),
        display_name=claims.get("name"),
        domain=claims.get("domain"),
        has_two_factors=claims["mfa"],
    )
