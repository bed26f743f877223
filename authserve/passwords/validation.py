"""Judging a password that somebody wants to use from now on: the policy first, then breaches.

The one place where both are asked, for register, change, reset, invitation and seed. Hashes that
come ready made are not judged, nor is a password that signs somebody in.
"""

from collections.abc import Iterable

from authserve.core.errors import ValidationFailedError
from authserve.passwords.breached import get_breached_passwords
from authserve.passwords.policy import find_password_faults
from authserve.settings.brand import brand_words
from authserve.settings.model import get_settings

BREACHED = "This password is known from a data breach. Choose one that you use nowhere else."


def require_acceptable_password(
    password: str, *, context: Iterable[str] = (), field: str = "password"
) -> None:
    """Refuse a password that someone wants to use from now on, by the running service's rules.

    It may wait for another service for a second, so nobody holds a database connection meanwhile.

    Args:
        password: as sent.
        context: see `find_password_faults`; the words of `settings/brand.py` are added.
        field: the name of the input field at fault.

    Raises:
        ValidationFailedError: with every fault.
    """
    settings = get_settings()
    words = [*context, *brand_words(settings)]
    min_length = settings.password_min_length
    faults = find_password_faults(password, min_length=min_length, context=words)
    # Only what would be accepted is worth telling anybody a part of its digest.
    if not faults and get_breached_passwords().contains(password):
        faults = [BREACHED]
    if faults:
        raise ValidationFailedError({field: faults})
