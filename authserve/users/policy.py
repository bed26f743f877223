"""Limit on wrong passwords of an account."""

MAX_FAILED_SIGN_INS = 100
"""Wrong passwords in a row, without a device token, that disable a password (NIST SP 800-63B-4
§3.2.2)."""


def is_password_disabled(failed_sign_ins: int) -> bool:
    """Return True if a password is disabled for unknown devices, until it is replaced."""
    return failed_sign_ins >= MAX_FAILED_SIGN_INS
