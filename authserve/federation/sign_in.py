"""The result of a provider's answer: an account of this service, a new one, or a refusal."""

from dataclasses import replace
from datetime import datetime
from functools import partial
from uuid import UUID

from authserve.auth.provider_sign_in import ProvenIdentity
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.errors import AuthserveError
from authserve.core.frozen import frozen
from authserve.federation.ask import ProviderAnswer
from authserve.federation.identities import (
    ProviderIdentity,
    find_email_match,
    find_owner,
    record_use,
)
from authserve.federation.linking import link_at_sign_in
from authserve.federation.policy import (
    AskForAddress,
    AskToConfirm,
    Claimed,
    KeepLink,
    Link,
    Outcome,
    Refusal,
    Refuse,
    SignIn,
    SignUp,
    decide_identity,
)
from authserve.federation.refusals import refuse_identity
from authserve.federation.registry import Provider, require_unchanged
from authserve.federation.sign_up import open_account
from authserve.settings.model import SETTINGS, Registration

NextStep = SignIn | Link | KeepLink | AskToConfirm | AskForAddress
"""An outcome of the decision that is left to the pages."""


@frozen(kw_only=True)
class ProviderReturn:
    """The return of a person from a provider, with the verified answer.

    Args:
        linking_user_id: the signed-in person who asked for a link; None at a sign-in.
        typed_address: in place of the one that the provider does not name, in canonical form.
        locale: the language of a new account's mails, if it is known.
    """

    provider: Provider
    answer: ProviderAnswer
    linking_user_id: UUID | None
    locale: str | None
    request: RequestInfo
    typed_address: str | None = None

    @property
    def claimed(self) -> Claimed:
        """The claims about the person, with a typed address, which no one has verified."""
        claimed = self.answer.person.claimed
        if self.typed_address is None:
            return claimed
        return replace(claimed, email=self.typed_address, is_email_verified=False)

    @property
    def identity(self) -> ProviderIdentity:
        """The identity that the provider confirms."""
        person = self.answer.person
        return ProviderIdentity(
            issuer=self.provider.configuration.issuer,
            subject=person.subject,
            email=person.claimed.email,
        )


def resolve(returned: ProviderReturn) -> NextStep:
    """Return the account that a return from a provider opens, or what to ask the person.

    A new account is opened at once.

    Raises:
        AuthserveError: one of `Refusal`, by its code.
    """
    outcome = decide(returned)
    while isinstance(outcome, SignUp):
        user_id = open_account_of(returned, outcome)
        # Another request took the address or the identity meanwhile, so the answer is another now.
        outcome = SignIn(user_id) if user_id is not None else decide(returned)
    if isinstance(outcome, Refuse):
        raise refuse(outcome.reason, returned)
    return outcome


def open_account_of(returned: ProviderReturn, decided: SignUp) -> UUID | None:
    """Open the account of an unknown person; see `sign_up.open_account`."""
    return open_account(
        decided,
        returned.identity,
        provider=returned.provider,
        display_name=returned.answer.person.display_name,
        locale=returned.locale,
        request=returned.request,
    )


def decide(returned: ProviderReturn) -> Outcome:
    """Return the decision about the answer, with the accounts as they are now."""
    settings, identity, claimed = SETTINGS.get(), returned.identity, returned.claimed
    # In this order: an account that a concurrent first sign-in of the same person opens between the
    # two statements is found as the owner, never only as the email match.
    email_match = find_email_match(claimed.email) if claimed.email is not None else None
    owner = find_owner(identity.issuer, identity.subject)
    return decide_identity(
        claimed,
        rules=returned.provider.configuration.rules,
        owner=owner,
        email_match=email_match,
        linking_user_id=returned.linking_user_id,
        is_registration_open=settings.registration is Registration.OPEN,
        registration_domains=settings.registration_domains,
    )


def refuse(reason: Refusal, returned: ProviderReturn) -> AuthserveError:
    """Audit a refusal, commit, and return the error to raise."""
    provider, request = returned.provider, returned.request
    return refuse_identity(reason, provider=provider, actor=VISITOR, request=request)


def prove(returned: ProviderReturn, step: SignIn | Link) -> ProvenIdentity:
    """Return the proof with which a session of an account starts.

    Args:
        step: from `resolve`; a link is made with the sign-in.
    """
    trusts_mfa = returned.provider.configuration.trusts_mfa
    return ProvenIdentity(
        user_id=step.user_id,
        provider=returned.provider.slug,
        has_two_factors=trusts_mfa and returned.answer.claims_two_factors,
        auth_time=returned.answer.auth_time,
        claim=partial(_claim, returned, step),
    )


def _claim(returned: ProviderReturn, step: SignIn | Link, now: datetime) -> bool:
    """Record the use of an identity, or link it, in the open transaction of the sign-in.

    Returns:
        False if the identity is not the account's; see `record_use` and `link_at_sign_in`.

    Raises:
        UnknownStateError: see `require_unchanged`.
        TooManyIdentitiesError: see `link_at_sign_in`.
    """
    if isinstance(step, SignIn):
        require_unchanged(returned.provider)
        return record_use(step.user_id, returned.identity, now=now)
    return link_at_sign_in(
        step.user_id,
        returned.identity,
        provider=returned.provider,
        request=returned.request,
        now=now,
    )
