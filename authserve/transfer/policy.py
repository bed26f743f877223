"""Password hashes of other systems: accepted, or refused with a reason for the operator.

A hash is taken as it is, since only its owner's next sign-in can replace it. The codec that
verifies it at that sign-in decides here (`core.foreign_hashes`).
"""

from authserve.core.foreign_hashes import UnusableHashError, parse_hash
from authserve.transfer.errors import UnusableRowError


def usable_hash(raw: str | None, *, flask_security_salt: str = "") -> str | None:
    """Return the form in which a foreign hash is stored and verified.

    Args:
        raw: as the other system wrote it.
        flask_security_salt: the setting `FLASK_SECURITY_SALT`; empty if it is not set.

    Returns:
        None for an account without a usable password (Django's `!`).

    Raises:
        UnusableRowError: no codec takes this hash; see `parse_hash`.
    """
    if raw is None or raw == "" or raw.startswith("!"):
        return None
    try:
        return parse_hash(raw, flask_security_salt=flask_security_salt).stored
    except UnusableHashError as error:
        raise UnusableRowError(f"password_hash: {error.reason}") from error
