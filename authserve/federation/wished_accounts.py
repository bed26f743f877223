"""The wishes of people who came back from a provider, and the new accounts that some lead to.

A person without an account whose provider names no address gives one. No one has verified it, so
it opens nothing but a new account, and a mail goes there.
"""

from uuid import UUID

from authserve.auth.register import SILENT_SECS, notify_owner
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import taking_at_least
from authserve.core.levels import MULTIPLE_FACTORS
from authserve.federation.ask import Answered
from authserve.federation.errors import ProviderNotFoundError, UnknownStateError
from authserve.federation.flow import get_open_provider
from authserve.federation.identities import find_namesake, find_owner
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
from authserve.federation.sign_in import Arrival, decide, open_arrived, refuse
from authserve.federation.wishes import Wish
from authserve.settings.model import SETTINGS, EmailVerification, Registration
from authserve.users.admission import require_allowed_domain
from authserve.users.credentials import get_credentials
from authserve.users.errors import UserNotFoundError


def wish_of(arrival: Arrival, *, account_id: UUID | None = None) -> Wish:
    """Return the wish of a person who has to be asked before anything follows.

    Args:
        account_id: of the account that has the address; None for a new account.
    """
    person = arrival.answered.person
    return Wish(
        provider=arrival.provider.slug,
        identity=arrival.identity,
        account_id=account_id,
        address=arrival.claimed.email if account_id is not None else None,
        display_name=person.display_name,
        domain=person.claimed.domain,
        has_two_factors=arrival.answered.claims_two_factors,
    )


def get_provider_of(wish: Wish) -> Provider:
    """Return the provider of a wish.

    Raises:
        ProviderNotFoundError: it is gone or disabled.
        UnknownStateError: its slug belongs to a provider of another issuer by now.
    """
    provider = get_open_provider(wish.provider)
    if provider.configuration.issuer != wish.identity.issuer:
        raise UnknownStateError
    return provider


def is_address_verified(wish: Wish) -> bool:
    """Return True if the account that has the address has verified it by now.

    Otherwise an attacker may have opened it, so that only a reset by mail shows who owns it.

    Raises:
        UnknownStateError: the account is gone.
    """
    if wish.account_id is None:
        raise UnknownStateError
    try:
        return get_credentials(wish.account_id).email_verified
    except UserNotFoundError as error:
        raise UnknownStateError from error


def find_identified(wish: Wish) -> Actor | None:
    """Return the owner of a wish's identity, if it is linked to an account by now.

    Such a wish is kept by a person whose address has to be verified before they may sign in.
    """
    identity = wish.identity
    owner = find_owner(identity.issuer, identity.subject)
    if owner is None:
        return None
    try:
        get_provider_of(wish)
        return Actor(user=get_credentials(owner.id).ref)
    except (ProviderNotFoundError, UnknownStateError, UserNotFoundError):
        return None


def return_with_address(
    wish: Wish, address: str, *, locale: str | None, request: RequestInfo
) -> Arrival:
    """Return the arrival of a person who has typed an address.

    Args:
        address: in canonical form.
        locale: the language of the person's mails, if it is known.

    Raises:
        ProviderNotFoundError, UnknownStateError: see `get_provider_of`.
    """
    claimed = Claimed(email=None, is_email_verified=False, domain=wish.domain)
    person = Person(subject=wish.identity.subject, claimed=claimed, display_name=wish.display_name)
    amr = frozenset({MULTIPLE_FACTORS}) if wish.has_two_factors else frozenset[str]()
    return Arrival(
        provider=get_provider_of(wish),
        answered=Answered(person=person, amr=amr),
        linking_user_id=None,
        typed_address=address,
        locale=locale,
        request=request,
    )


def open_with_address(arrival: Arrival) -> SignIn | AskToConfirm | None:
    """Open an account with a typed address, unless an account has it.

    Args:
        arrival: from `return_with_address`.

    Returns:
        The sign-in to the new account, or the question to the owner of the account that has the
        address. None if addresses must be verified: then the answer and its time are the same for
        an address that has an account, and its owner gets a mail (ASVS 6.3.8).

    Raises:
        ValidationFailedError: addresses of that domain are not accepted.
        UnknownStateError: the identity belongs to an account by now.
        AuthserveError: one of `policy.Refusal`, by its code.
    """
    address = arrival.typed_address
    assert address is not None
    require_allowed_domain(address)
    _require_open(arrival)
    if SETTINGS.get().email_verification is not EmailVerification.REQUIRED:
        return _open(arrival)
    with taking_at_least(SILENT_SECS):
        is_taken = find_namesake(address) is not None
        if is_taken or not isinstance(_open(arrival), SignIn):
            notify_owner(address, arrival.request)
    return None


def _require_open(arrival: Arrival) -> None:
    """Refuse every address alike while no accounts are opened, and a wish that is fulfilled."""
    rules, identity = arrival.provider.configuration.rules, arrival.identity
    if not is_admitted(arrival.claimed.domain, rules=rules):
        raise refuse(Refusal.DOMAIN_NOT_ALLOWED, arrival)
    if not rules.sign_up or SETTINGS.get().registration is Registration.CLOSED:
        raise refuse(Refusal.SIGN_UP_CLOSED, arrival)
    if find_owner(identity.issuer, identity.subject) is not None:
        raise UnknownStateError


def _open(arrival: Arrival) -> SignIn | AskToConfirm:
    outcome = decide(arrival)
    if isinstance(outcome, SignUp):
        user_id = open_arrived(arrival, outcome)
        if user_id is not None:
            return SignIn(user_id)
        # A concurrent request took the address or the identity.
        outcome = decide(arrival)
    if isinstance(outcome, Refuse):
        raise refuse(outcome.reason, arrival)
    if isinstance(outcome, AskToConfirm):
        return outcome
    # A concurrent request has fulfilled the wish, which is good once.
    raise UnknownStateError
