"""The use case of registration."""

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import taking_at_least
from authserve.core.errors import ValidationFailedError
from authserve.core.events import AuditAction, Outcome
from authserve.database.emit import emit
from authserve.database.transactions import transaction
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.passwords.validation import require_acceptable_password
from authserve.ratelimit.policy import find_network
from authserve.rbac.assignment import assign_initial_roles
from authserve.rbac.policy import USER_ROLE
from authserve.settings.model import SETTINGS, EmailVerification
from authserve.users.accounts import NewUser, User, add_user, ref_of
from authserve.users.admission import require_allowed_domain, require_open_registration
from authserve.users.errors import EmailTakenError, UsernameTakenError
from authserve.users.lookup import find_by_email, find_owning_addresses
from authserve.verification.policy import Purpose
from authserve.verification.requests import notify_of_existing_account, request_by_address

SILENT_SECS = 0.05
"""Least seconds to store a registration whose time must not reveal if the account existed. Writing
a new account takes some 5 ms, which is 1 ms longer than enqueueing a mail to its owner
(measured)."""


def register(
    *,
    email: str,
    password: str,
    username: str | None = None,
    display_name: str | None = None,
    locale: str | None = None,
    request: RequestInfo,
) -> tuple[User, tuple[str, ...]] | None:
    """Open an account for a visitor.

    Args:
        email, username: in canonical form.
        locale: the language of the visitor's mails, if it is known.

    Returns:
        The account and the names of its roles; None if addresses must be verified. Then answer,
        hashing and time are the same for an address that has an account, and its owner gets a
        mail (ASVS 6.3.8).

    Raises:
        RegistrationClosedError: visitors may not open accounts.
        ValidationFailedError: the password or the address's domain is not acceptable, or a
            username is given while addresses must be verified: a taken one would reveal accounts.
        EmailTakenError, UsernameTakenError: another account has them, perhaps since a concurrent
            request; if both are taken, `EmailTakenError`.
        HasherBusyError: too many passwords wait to be hashed.
    """
    require_open_registration()
    require_allowed_domain(email)
    is_silent = SETTINGS.get().email_verification is EmailVerification.REQUIRED
    if is_silent and username is not None:
        raise ValidationFailedError({"username": ["Choose it later, in your own account."]})
    context = [word for word in (email, username, display_name) if word]
    require_acceptable_password(password, context=context)
    # Before the hashing, so that an unavailable database is also reported at once.
    taken = find_owning_addresses(email, username)
    if taken and not is_silent:
        raise EmailTakenError if email in taken else UsernameTakenError
    password_hash = PASSWORD_HASHER.get().hash(password, network=find_network(request.ip))
    new = NewUser(
        email=email,
        username=username,
        display_name=display_name,
        locale=locale,
        password_hash=password_hash,
    )
    if not is_silent:
        return _open_named_account(new, request), (USER_ROLE,)
    with taking_at_least(SILENT_SECS):
        try:
            _open_account(new, request)
        except EmailTakenError:
            notify_owner(email, request)
    return None


def _open_named_account(new: NewUser, request: RequestInfo) -> User:
    try:
        return _open_account(new, request)
    except UsernameTakenError:
        # If a row violates two constraints, the database decides which one it reports.
        if find_by_email(new.email) is not None:
            raise EmailTakenError from None
        raise


def notify_owner(email: str, request: RequestInfo) -> None:
    """Notify the owner of an address by mail that a visitor has tried to register it, and audit it.

    The visitor gets the answer that a free address would get.
    """
    with transaction():
        owner = find_by_email(email)
        subject = ref_of(owner) if owner is not None else None
        emit(
            AuditAction.USER_REGISTRATION_REPEATED,
            outcome=Outcome.FAILURE,
            actor=VISITOR,
            subject=subject,
            request=request,
        )
        notify_of_existing_account(email)


def _open_account(new: NewUser, request: RequestInfo) -> User:
    with transaction():
        user = add_user(new)
        assign_initial_roles(ref_of(user), [USER_ROLE])
        emit(AuditAction.USER_REGISTERED, actor=VISITOR, subject=ref_of(user), request=request)
        if SETTINGS.get().email_verification is not EmailVerification.OFF:
            request_by_address(Purpose.VERIFY_EMAIL, new.email)
    return user
