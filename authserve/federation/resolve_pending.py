"""Resolution of pending identities: by the account that has the address, or by a new account.

A provider may name no address. A person without an account then types one. It is not verified, so
it opens nothing but a new account, and a mail goes there.
"""

from uuid import UUID

from authserve.auth.register import SILENT_SECS, notify_owner
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import taking_at_least
from authserve.core.levels import MULTIPLE_FACTORS
from authserve.federation.ask import ProviderAnswer
from authserve.federation.errors import ProviderNotFoundError, UnknownStateError
from authserve.federation.flow import get_open_provider
from authserve.federation.identities import find_email_match, find_owner
from authserve.federation.pending_identities import PendingIdentity
from authserve.federation.policy import (
    AskToConfirm,
    Claimed,
    Refusal,
    Refuse,
    SignIn,
    SignUp,
    is_admitted,
)
from authserve.federation.presets import Person
from authserve.federation.registry import Provider
from authserve.federation.sign_in import ProviderReturn, decide, open_account_of, refuse
from authserve.settings.model import SETTINGS, EmailVerification, Registration
from authserve.users.admission import require_allowed_domain
from authserve.users.credentials import get_credentials
from authserve.users.errors import UserNotFoundError


def pending_identity_of(
    returned: ProviderReturn, *, account_id: UUID | None = None
) -> PendingIdentity:
    """Return the pending identity of a person who must answer a question first.

    Args:
        account_id: of the account that has the address; None for a new account.
    """
    person = returned.answer.person
    return PendingIdentity(
        provider=returned.provider.slug,
        identity=returned.identity,
        account_id=account_id,
        address=returned.claimed.email if account_id is not None else None,
        display_name=person.display_name,
        domain=person.claimed.domain,
        has_two_factors=returned.answer.claims_two_factors,
    )


def get_provider_of(pending: PendingIdentity) -> Provider:
    """Return the provider of a pending identity.

    Raises:
        ProviderNotFoundError: it is gone or disabled.
        UnknownStateError: its slug belongs to a provider of another issuer by now.
    """
    provider = get_open_provider(pending.provider)
    if provider.configuration.issuer != pending.identity.issuer:
        raise UnknownStateError
    return provider


def is_address_verified(pending: PendingIdentity) -> bool:
    """Return True if the account that has the address has verified it by now.

    Otherwise an attacker may have opened it, so that only a reset by mail shows who owns it.

    Raises:
        UnknownStateError: the account is gone.
    """
    if pending.account_id is None:
        raise UnknownStateError
    try:
        return get_credentials(pending.account_id).email_verified
    except UserNotFoundError as error:
        raise UnknownStateError from error


def find_identified(pending: PendingIdentity) -> Actor | None:
    """Return the owner of a pending identity if it is linked by now, else None.

    A person holds such an identity if they must verify their address before they may sign in.
    """
    identity = pending.identity
    owner = find_owner(identity.issuer, identity.subject)
    if owner is None:
        return None
    try:
        get_provider_of(pending)
        return Actor(user=get_credentials(owner.id).ref)
    except (ProviderNotFoundError, UnknownStateError, UserNotFoundError):
        return None


def return_with_address(
    pending: PendingIdentity, address: str, *, locale: str | None, request: RequestInfo
) -> ProviderReturn:
    """Return the answer of the provider with the address that the person has typed.

    Args:
        address: in canonical form.
        locale: the language of the person's mails, if it is known.

    Raises:
        ProviderNotFoundError, UnknownStateError: see `get_provider_of`.
    """
    claimed = Claimed(email=None, is_email_verified=False, domain=pending.domain)
    person = Person(
        subject=pending.identity.subject, claimed=claimed, display_name=pending.display_name
    )
    amr = frozenset({MULTIPLE_FACTORS}) if pending.has_two_factors else frozenset[str]()
    return ProviderReturn(
        provider=get_provider_of(pending),
        answer=ProviderAnswer(person=person, amr=amr),
        linking_user_id=None,
        typed_address=address,
        locale=locale,
        request=request,
    )


def open_with_address(returned: ProviderReturn) -> SignIn | AskToConfirm | None:
    """Open an account with a typed address, unless an account has it.

    Args:
        returned: from `return_with_address`.

    Returns:
        The sign-in to the new account, or the question to the owner of the account that has the
        address. None if addresses must be verified: then the answer and its time are the same for
        an address that has an account, and its owner gets a mail (ASVS 6.3.8).

    Raises:
        ValidationFailedError: addresses of that domain are not accepted.
        UnknownStateError: the identity belongs to an account by now.
        AuthserveError: one of `policy.Refusal`, by its code.
    """
    address = returned.typed_address
    assert address is not None
    require_allowed_domain(address)
    _require_open(returned)
    if SETTINGS.get().email_verification is not EmailVerification.REQUIRED:
        return _open(returned)
    with taking_at_least(SILENT_SECS):
        is_taken = find_email_match(address) is not None
        if is_taken or not isinstance(_open(returned), SignIn):
            notify_owner(address, returned.request)
    return None


def _require_open(returned: ProviderReturn) -> None:
    """Refuse every address alike if sign-up is closed; refuse an identity that is linked by now."""
    rules, identity = returned.provider.configuration.rules, returned.identity
    if not is_admitted(returned.claimed.domain, rules=rules):
        raise refuse(Refusal.DOMAIN_NOT_ALLOWED, returned)
    if not rules.sign_up or SETTINGS.get().registration is Registration.CLOSED:
        raise refuse(Refusal.SIGN_UP_CLOSED, returned)
    if find_owner(identity.issuer, identity.subject) is not None:
        raise UnknownStateError


def _open(returned: ProviderReturn) -> SignIn | AskToConfirm:
    outcome = decide(returned)
    if isinstance(outcome, SignUp):
        user_id = open_account_of(returned, outcome)
        if user_id is not None:
            return SignIn(user_id)
        # A concurrent request took the address or the identity.
        outcome = decide(returned)
    if isinstance(outcome, Refuse):
        raise refuse(outcome.reason, returned)
    if isinstance(outcome, AskToConfirm):
        return outcome
    # A concurrent request has linked the identity, which is pending no more.
    raise UnknownStateError
