"""Errors of the signing keys."""

from authserve.core.errors import UnavailableError


class SigningKeyUnavailableError(UnavailableError):
    """No signing key can be used; clients get no further detail.

    `remedy` is for the operator: commands print it, and it is logged.
    """

    remedy = (
        "a signing key does not open: put the former SECRET_KEY into SECRET_KEY_FALLBACKS, "
        "or run: flask keys rotate --emergency"
    )
