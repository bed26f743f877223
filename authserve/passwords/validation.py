"""The check of a new password: first the policy, then known breaches.

Used by register, change, reset, invitation and seed. Imported hashes are not checked, nor is the
password of a login.
"""

from collections.abc import Iterable

from authserve.core.errors import ValidationFailedError
from authserve.passwords.breached import BREACHED_PASSWORDS
from authserve.passwords.policy import find_password_faults
from authserve.settings.model import SETTINGS, brand_words

BREACHED = "This password is known from a data breach. Choose one that you use nowhere else."


def require_acceptable_password(
    password: str, *, context: Iterable[str] = (), field: str = "password"
) -> None:
    """Refuse a new password that the policy does not accept, or that is known to be breached.

    The breach check may take a second, so the caller must hold no database connection meanwhile.

    Args:
        password: as sent.
        context: see `find_password_faults`; the words of `settings/model.py` are added.
        field: the name of the input field.

    Raises:
        ValidationFailedError: with every fault.
    """
    settings = SETTINGS.get()
    words = [*context, *brand_words(settings)]
    min_length = settings.password_min_length
    faults = find_password_faults(password, min_length=min_length, context=words)
    # Only for a password that the policy accepts is a part of its digest sent out.
    if not faults and BREACHED_PASSWORDS.get().contains(password):
        faults = [BREACHED]
    if faults:
        raise ValidationFailedError({field: faults})
