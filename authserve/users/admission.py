"""Who may open an account, and with which address: `REGISTRATION`, `REGISTRATION_DOMAINS`.

Neither holds for invitations and operators, who choose by themselves.
"""

from authserve.core.errors import ValidationFailedError
from authserve.settings.model import Registration, get_settings
from authserve.users.errors import RegistrationClosedError

FOREIGN_DOMAIN = "Addresses of this domain are not accepted here."


def require_open_registration() -> None:
    """Refuse to open an account where the operator alone does that.

    Raises:
        RegistrationClosedError: `REGISTRATION` is `closed`.
    """
    if get_settings().registration is Registration.CLOSED:
        raise RegistrationClosedError


def require_allowed_domain(email: str, *, field: str = "email") -> None:
    """Refuse an address that a person chose for their own account, by its domain.

    Args:
        email: in canonical form, so its domain is compared in IDNA's ASCII.
        field: the name of the input field at fault.

    Raises:
        ValidationFailedError: `REGISTRATION_DOMAINS` lists others alone.
    """
    domains = get_settings().registration_domains
    if domains and email.rpartition("@")[2] not in domains:
        raise ValidationFailedError({field: [FOREIGN_DOMAIN]})
