"""Signing up."""

from authserve.core.actor import RequestInfo
from authserve.core.clock import taking_at_least
from authserve.core.errors import ValidationFailedError
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.passwords.hasher import get_password_hasher
from authserve.passwords.validation import require_acceptable_password
from authserve.ratelimit.throttle import hashing_network
from authserve.rbac.assignment import assign_initial_roles
from authserve.rbac.policy import USER_ROLE
from authserve.settings.model import EmailVerification, get_settings
from authserve.users.accounts import NewUser, User, add_user, find_by_email, ref_of
from authserve.users.admission import require_allowed_domain, require_open_registration
from authserve.users.errors import EmailTakenError, UsernameTakenError
from authserve.users.events import RegistrationRepeated, UserRegistered
from authserve.users.lists import find_ids_by_identifier
from authserve.verification.policy import Purpose
from authserve.verification.requests import notify_of_existing_account, request_by_address

SILENT_SECS = 0.05
"""What becomes of a registration takes so long at least, if it must not tell whether there was an
account: writing a new one takes some 5 ms, and 1 ms longer than a mail to its owner (measured)."""


def register(
    *,
    email: str,
    password: str,
    username: str | None = None,
    display_name: str | None = None,
    request: RequestInfo,
) -> tuple[User, tuple[str, ...]] | None:
    """Open an account for whoever asks.

    Args:
        email, username: in canonical form.

    Returns:
        The account, and the names of its roles. None while addresses must be verified: then the
        answer, the hashing and the time are the same for an address that has an account, whose
        owner is told by mail (ASVS 6.3.8).

    Raises:
        RegistrationClosedError: visitors may open no accounts.
        ValidationFailedError: the password or the address's domain is not acceptable, or a
            username came where a taken one would tell.
        EmailTakenError, UsernameTakenError: somebody has them, or was a moment faster; of both,
            it is the address.
        HasherBusyError: too many passwords wait to be hashed.
    """
    require_open_registration()
    require_allowed_domain(email)
    is_silent = get_settings().email_verification is EmailVerification.REQUIRED
    if is_silent and username is not None:
        raise ValidationFailedError({"username": ["Choose it later, in your own account."]})
    context = [word for word in (email, username, display_name) if word]
    require_acceptable_password(password, context=context)
    # Before anything is hashed: so a database that is away is told of at once, too.
    taken = find_ids_by_identifier([word for word in (email, username) if word])
    if taken and not is_silent:
        raise EmailTakenError if email in taken else UsernameTakenError
    password_hash = get_password_hasher().hash(password, network=hashing_network(request))
    new = NewUser(
        email=email, username=username, display_name=display_name, password_hash=password_hash
    )
    if not is_silent:
        return _open_named_account(new, request), (USER_ROLE,)
    with taking_at_least(SILENT_SECS):
        try:
            _open_account(new, request)
        except EmailTakenError:
            _tell_owner(email, request)
    return None


def _open_named_account(new: NewUser, request: RequestInfo) -> User:
    try:
        return _open_account(new, request)
    except UsernameTakenError:
        # Each database decides by itself which of two constraints a row runs into first.
        if find_by_email(new.email) is not None:
            raise EmailTakenError from None
        raise


def _tell_owner(email: str, request: RequestInfo) -> None:
    with transaction():
        owner = find_by_email(email)
        subject = ref_of(owner) if owner is not None else None
        emit(RegistrationRepeated(subject=subject, request=request))
        notify_of_existing_account(email)


def _open_account(new: NewUser, request: RequestInfo) -> User:
    with transaction():
        user = add_user(new)
        assign_initial_roles(ref_of(user), [USER_ROLE])
        emit(UserRegistered(subject=ref_of(user), request=request))
        if get_settings().email_verification is not EmailVerification.OFF:
            request_by_address(Purpose.VERIFY_EMAIL, new.email)
    return user
