"""What can be wrong with the signing keys."""

from authserve.core.errors import UnavailableError


class SigningKeyUnavailableError(UnavailableError):
    """No signing key can be opened; the log says what the operator has to do."""
