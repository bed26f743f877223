"""The use cases that link an identity to an existing account, which its owner proves to own.

The owner is signed in, or the operator trusts the provider for the address that both sides have
verified. A claim of an address alone never links anything (OpenID Connect Core §5.7).
"""

from datetime import datetime
from uuid import UUID

from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.federation.errors import IdentityTakenError, OtherAccountError
from authserve.federation.identities import ProviderIdentity, find_owner, record_use
from authserve.federation.own_identities import add_identity
from authserve.federation.pending_identities import PendingIdentity
from authserve.federation.policy import check_confirmation
from authserve.federation.refusals import refuse_identity
from authserve.federation.registry import Provider
from authserve.mfa.factors import find_factors
from authserve.mfa.switch import Owner, lock_owner, require_may_change
from authserve.users.credentials import get_credentials


def link_own_identity(
    identity: ProviderIdentity, *, provider: Provider, actor: Actor, request: RequestInfo
) -> None:
    """Link an identity to the account of a signed-in person, who has asked for it.

    An identity that is this account's already stays as it is.

    Args:
        identity: as the provider has just confirmed it.
        actor: the person, in the session that has asked.

    Raises:
        IdentityTakenError: it is another account's.
        TooManyIdentitiesError: the account has as many as it may have.
        SessionRevokedError, StepUpRequiredError: see `mfa.switch.require_may_change`.
        UserNotFoundError: the account is gone or deactivated.
    """
    _link(identity, provider, actor, request)


def link_pending_identity(
    pending: PendingIdentity, *, provider: Provider, actor: Actor, request: RequestInfo
) -> None:
    """Link an identity to the account that has its address, whose owner has signed in and agreed.

    Args:
        provider: that of the pending identity, with its present rules.
        actor: the owner, in any session of this browser.

    Raises:
        AccountExistsError, DomainNotAllowedError: the provider's rules refuse the link by now.
        OtherAccountError: the account that has the address is another one, or has not verified
            it.
        AuthserveError: see `link_own_identity`.
    """
    refusal = check_confirmation(pending.domain, rules=provider.configuration.rules)
    if refusal is not None:
        raise refuse_identity(refusal, provider=provider, actor=actor, request=request)
    _link(pending.identity, provider, actor, request, pending=pending)


def _link(
    identity: ProviderIdentity,
    provider: Provider,
    actor: Actor,
    request: RequestInfo,
    *,
    pending: PendingIdentity | None = None,
) -> None:
    user, moment = actor.signed_in_user, now()
    with transaction():
        owner = lock_owner(user.id)
        require_may_change(owner, actor)
        if pending is not None and not _is_account_of(pending, owner):
            raise OtherAccountError
        is_new = add_identity(
            user,
            identity,
            provider=provider,
            notified_email=owner.email,
            actor=actor,
            request=request,
            now=moment,
        )
        if not is_new:
            _require_owner(identity, user.id)


def _is_account_of(pending: PendingIdentity, owner: Owner) -> bool:
    is_same = (owner.ref.id, owner.email) == (pending.account_id, pending.address)
    return is_same and owner.email_verified


def _require_owner(identity: ProviderIdentity, user_id: UUID) -> None:
    owner = find_owner(identity.issuer, identity.subject)
    if owner is None or owner.id != user_id:
        raise IdentityTakenError


def link_at_sign_in(
    user_id: UUID,
    identity: ProviderIdentity,
    *,
    provider: Provider,
    request: RequestInfo,
    now: datetime,
) -> bool:
    """Link an identity by its first sign-in, or record its use if a concurrent one has linked it.

    The transaction is that of the sign-in, which holds the lock on the user's row.

    Args:
        user_id: the account that had the address when the provider answered.

    Returns:
        False if the identity is another account's, or the account has another address, an
        unverified one or a second factor by now.

    Raises:
        TooManyIdentitiesError: the account has as many as it may have.
    """
    account = get_credentials(user_id)
    if account.email != identity.email or not account.email_verified:
        return False
    if find_factors(user_id).has_any:
        return False
    add_identity(
        account.ref,
        identity,
        provider=provider,
        notified_email=account.email,
        actor=Actor(user=account.ref),
        request=request,
        now=now,
    )
    return record_use(user_id, identity, now=now)
