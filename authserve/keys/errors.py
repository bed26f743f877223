"""What can be wrong with the signing keys."""

from authserve.core.errors import UnavailableError


class SigningKeyUnavailableError(UnavailableError):
    """No signing key can be used; callers are told no more than that.

    `remedy` is for the operator: commands print it, and the log has it.
    """

    remedy = (
        "a signing key does not open: put the former SECRET_KEY into SECRET_KEY_FALLBACKS, "
        "or run: flask keys rotate --emergency"
    )
