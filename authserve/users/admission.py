"""Restrictions on registration: `REGISTRATION` and `REGISTRATION_DOMAINS`.

They do not apply to accounts that an administrator invites or an operator creates.
"""

from authserve.core.errors import ValidationFailedError
from authserve.settings.model import SETTINGS, Registration
from authserve.users.errors import RegistrationClosedError

FOREIGN_DOMAIN = "Addresses of this domain are not accepted here."


def require_open_registration() -> None:
    """Refuse a registration while registration is closed.

    Raises:
        RegistrationClosedError: `REGISTRATION` is `closed`.
    """
    if SETTINGS.get().registration is Registration.CLOSED:
        raise RegistrationClosedError


def require_allowed_domain(email: str, *, field: str = "email") -> None:
    """Refuse an address that a user chose for their own account if its domain is not allowed.

    Args:
        email: in canonical form, so its domain is compared in IDNA's ASCII form.
        field: the input field that the error names.

    Raises:
        ValidationFailedError: `REGISTRATION_DOMAINS` is set and does not list the domain.
    """
    domains = SETTINGS.get().registration_domains
    if domains and email.rpartition("@")[2] not in domains:
        raise ValidationFailedError({field: [FOREIGN_DOMAIN]})
