"""What a provider's answer leads to: an account of this service, a new one, or a refusal."""

import logging
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from authserve.auth.provider_sign_in import ProvenIdentity
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.errors import AuthserveError
from authserve.core.events import AuditAction
from authserve.core.events import Outcome as Result
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.federation.ask import Answered
from authserve.federation.errors import (
    AccountExistsError,
    DomainNotAllowedError,
    IdentityTakenError,
    SignUpClosedError,
)
from authserve.federation.identities import (
    ProviderIdentity,
    find_namesake,
    find_owner,
    record_use,
)
from authserve.federation.policy import (
    AskForAddress,
    AskToConfirm,
    KeepLink,
    Link,
    Refusal,
    Refuse,
    SignIn,
    SignUp,
    decide_identity,
)
from authserve.federation.registry import Provider
from authserve.federation.sign_up import open_account
from authserve.settings.model import SETTINGS, Registration
from authserve.users.errors import AccountDisabledError

logger = logging.getLogger(__name__)

_ERRORS: dict[Refusal, type[AuthserveError]] = {
    Refusal.DOMAIN_NOT_ALLOWED: DomainNotAllowedError,
    Refusal.ACCOUNT_DISABLED: AccountDisabledError,
    Refusal.ACCOUNT_EXISTS: AccountExistsError,
    Refusal.IDENTITY_TAKEN: IdentityTakenError,
    Refusal.SIGN_UP_CLOSED: SignUpClosedError,
}

NextStep = SignIn | Link | KeepLink | AskToConfirm | AskForAddress
"""An outcome of the decision that is left to the pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A person who came back from a provider.

    Args:
        linking_user_id: the signed-in person who asked for a link; None at a sign-in.
        locale: the language of a new account's mails, if it is known.
    """

    provider: Provider
    answered: Answered
    linking_user_id: UUID | None
    locale: str | None
    request: RequestInfo

    @property
    def identity(self) -> ProviderIdentity:
        """The identity that the provider confirms."""
        person = self.answered.person
        return ProviderIdentity(
            issuer=self.provider.configuration.issuer,
            subject=person.subject,
            email=person.claimed.email,
        )


def settle(arrival: Arrival) -> NextStep:
    """Return whose account a person has come to, or what to ask them; open a new account at once.

    Raises:
        AuthserveError: one of `Refusal`, by its code.
    """
    outcome = _decide(arrival)
    while isinstance(outcome, SignUp):
        user_id = open_account(
            outcome,
            arrival.identity,
            provider=arrival.provider,
            display_name=arrival.answered.person.display_name,
            locale=arrival.locale,
            request=arrival.request,
        )
        # Another request took the address or the identity meanwhile, so the answer is another now.
        outcome = SignIn(user_id) if user_id is not None else _decide(arrival)
    if isinstance(outcome, Refuse):
        raise _refuse(outcome.reason, arrival)
    return outcome


def _decide(arrival: Arrival) -> NextStep | SignUp | Refuse:
    settings, identity = SETTINGS.get(), arrival.identity
    # In this order: an account that a concurrent first sign-in of the same person opens between the
    # two statements is found as the owner, never as a namesake alone.
    namesake = find_namesake(identity.email) if identity.email is not None else None
    owner = find_owner(identity.issuer, identity.subject)
    return decide_identity(
        arrival.answered.person.claimed,
        rules=arrival.provider.configuration.rules,
        owner=owner,
        namesake=namesake,
        linking_user_id=arrival.linking_user_id,
        is_registration_open=settings.registration is Registration.OPEN,
        registration_domains=settings.registration_domains,
    )


def _refuse(reason: Refusal, arrival: Arrival) -> AuthserveError:
    """Audit a refusal, commit, and return the error to raise (ASVS 16.3.1)."""
    details = {"reason": reason, "provider": arrival.provider.slug}
    logger.info("sign-in by a provider refused", extra=details)
    with transaction(durable=True):
        emit(
            AuditAction.IDENTITY_SIGN_IN_REFUSED,
            outcome=Result.FAILURE,
            actor=VISITOR,
            request=arrival.request,
            details=details,
        )
    return _ERRORS[reason]()


@dataclass(frozen=True, slots=True)
class _Use:
    """The use of an identity by its account, which is recorded with the sign-in."""

    user_id: UUID
    identity: ProviderIdentity

    def claim(self, now: datetime) -> bool:
        """Record the use in the open transaction; see `identities.record_use`."""
        return record_use(self.user_id, self.identity, now=now)


def prove(arrival: Arrival, user_id: UUID) -> ProvenIdentity:
    """Return the proof with which a session of an account starts."""
    trusts_mfa = arrival.provider.configuration.trusts_mfa
    return ProvenIdentity(
        user_id=user_id,
        provider=arrival.provider.slug,
        has_two_factors=trusts_mfa and arrival.answered.claims_two_factors,
        claim=_Use(user_id, arrival.identity).claim,
    )
