"""The identities of an account as its owner sees them: linking, listing and unlinking them."""

from collections.abc import Sequence
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.federation.errors import IdentityNotFoundError
from authserve.federation.identities import (
    LinkedIdentity,
    ProviderIdentity,
    delete_identity,
    find_identities,
    get_identity,
    link_identity,
)
from authserve.federation.registry import Provider, list_providers, require_unchanged
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.mfa.factors import require_credential
from authserve.mfa.switch import lock_owner, require_may_change
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_sessions


@frozen()
class OwnIdentity:
    """An identity with its provider.

    Args:
        provider: None if no provider of its issuer is registered any more. Of several ones, an
            enabled one.
    """

    identity: LinkedIdentity
    provider: Provider | None

    @property
    def is_usable(self) -> bool:
        """True if its owner can sign in with it now."""
        return self.provider is not None and self.provider.configuration.enabled

    @property
    def provider_name(self) -> str:
        """The provider's name, or the host of its issuer if the provider is gone."""
        if self.provider is None:
            return urlsplit(self.identity.issuer).netloc
        return self.provider.configuration.name


def add_identity(
    user: UserRef,
    identity: ProviderIdentity,
    *,
    provider: Provider,
    notified_email: str | None,
    actor: Actor,
    request: RequestInfo,
    now: datetime,
) -> bool:
    """Link an identity to an account, in the open transaction, and record the event.

    The transaction must hold the lock on the user's row.

    Args:
        notified_email: the account's address, which gets a notice; None for an account that is
            being opened with the identity.
        actor, request: for the audit event.

    Returns:
        False if it is an account's already, perhaps this one's; then nothing is recorded.

    Raises:
        TooManyIdentitiesError: see `link_identity`.
        UnknownStateError: see `require_unchanged`.
    """
    require_unchanged(provider)
    if not link_identity(user.id, identity, now=now):
        return False
    emit(
        AuditAction.IDENTITY_LINKED,
        actor=actor,
        subject=user,
        request=request,
        details={"provider": provider.slug},
    )
    if notified_email is not None:
        values = {"provider": provider.configuration.name}
        notify(MailKind.IDENTITY_LINKED, notified_email, user.id, values=values)
    return True


def find_own_identities(
    user_id: UUID, *, limit: int, before: UUID | None = None
) -> Sequence[OwnIdentity]:
    """Return the identities of an account with their providers, newest first.

    Args:
        limit: greatest number of identities.
        before: only identities older than this id, for the next page.
    """
    found = find_identities(user_id, limit=limit, before=before)
    providers = _providers_by_issuer() if found else {}
    return [OwnIdentity(each, providers.get(each.issuer)) for each in found]


def _providers_by_issuer() -> dict[str, Provider]:
    # Enabled ones last, so that they replace others of the same issuer.
    ordered = sorted(list_providers(), key=lambda each: each.configuration.enabled)
    return {each.configuration.issuer: each for each in ordered}


def get_own_identity(user_id: UUID, identity_id: UUID) -> OwnIdentity:
    """Return an identity of an account with its provider.

    Raises:
        IdentityNotFoundError: the account has no such identity.
    """
    found = get_identity(user_id, identity_id)
    return OwnIdentity(found, _providers_by_issuer().get(found.issuer))


def unlink_identity(
    user: UserRef, identity_id: UUID, *, actor: Actor, request: RequestInfo
) -> None:
    """Remove an identity from an account; every other session ends (ASVS 7.4.3).

    The same rules hold as for the removal of a passkey.

    Args:
        user: the account.
        actor, request: for the audit events.

    Raises:
        IdentityNotFoundError: the account has no such identity.
        LastCredentialError: nothing else would open the account.
        SessionRevokedError, StepUpRequiredError: see `mfa.switch.require_may_change`.
        UserNotFoundError: the account is gone or deactivated.
    """
    with transaction():
        owner = lock_owner(user.id)
        require_may_change(owner, actor)
        removed = get_own_identity(user.id, identity_id)
        if not delete_identity(user.id, identity_id):
            raise IdentityNotFoundError
        require_credential(user.id)
        details = _name_provider(removed)
        emit(
            AuditAction.IDENTITY_UNLINKED,
            actor=actor,
            subject=user,
            request=request,
            details=details,
        )
        values = {"provider": removed.provider_name}
        notify(MailKind.IDENTITY_UNLINKED, owner.email, user.id, values=values)
        reason, kept = RevokeReason.FACTOR_REMOVED, actor.session_id
        end_sessions(user, reason, actor=actor, request=request, keep=kept)


def _name_provider(identity: OwnIdentity) -> dict[str, str]:
    """Return the details of an event; the subject and the address there are no part of them."""
    if identity.provider is None:
        return {"issuer": identity.identity.issuer}
    return {"provider": identity.provider.slug}
