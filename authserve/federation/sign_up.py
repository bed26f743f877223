"""The use case of registration by another provider: an account without a password.

It is small because `auth.register` has what both share, and knows nothing of identities.
"""

from uuid import UUID

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.core.events import AuditAction
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.federation.identities import ProviderIdentity
from authserve.federation.own_identities import add_identity
from authserve.federation.policy import SignUp
from authserve.federation.registry import Provider
from authserve.rbac.assignment import assign_initial_roles
from authserve.rbac.policy import USER_ROLE
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import NewUser, add_user, ref_of
from authserve.users.errors import EmailTakenError
from authserve.verification.policy import Purpose
from authserve.verification.requests import request_by_address


class _IdentityTakenError(Exception):
    """Raised to roll back an account whose identity another one has."""


def open_account(
    decided: SignUp,
    identity: ProviderIdentity,
    *,
    provider: Provider,
    display_name: str | None,
    locale: str | None,
    request: RequestInfo,
) -> UUID | None:
    """Open an account for a person whom a provider has identified, and link the identity to it.

    Args:
        provider: the one that has identified the person.
        locale: the language of the person's mails, if it is known.

    Returns:
        The account's id; None if another account has the address or the identity, perhaps since a
        concurrent request. Then nothing is stored.
    """
    new = NewUser(
        email=decided.email,
        email_verified=decided.is_email_verified,
        display_name=display_name,
        locale=locale,
        has_credential=True,
    )
    try:
        with transaction():
            return _store(new, identity, provider, request)
    except (EmailTakenError, _IdentityTakenError):
        return None


def _store(
    new: NewUser, identity: ProviderIdentity, provider: Provider, request: RequestInfo
) -> UUID:
    user = ref_of(add_user(new))
    assign_initial_roles(user, [USER_ROLE])
    details = {"provider": provider.slug}
    emit(AuditAction.USER_REGISTERED, actor=VISITOR, subject=user, request=request, details=details)
    if not add_identity(
        user,
        identity,
        provider=provider,
        notified_email=None,
        actor=VISITOR,
        request=request,
        now=now(),
    ):
        raise _IdentityTakenError
    is_mailing = SETTINGS.get().email_verification is not EmailVerification.OFF
    if is_mailing and not new.email_verified:
        request_by_address(Purpose.VERIFY_EMAIL, new.email)
    return user.id
