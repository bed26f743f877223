"""How many wrong passwords an account takes."""

MAX_FAILED_SIGN_INS = 100
"""In a row and without a device token (NIST SP 800-63B-4 §3.2.2)."""


def is_password_disabled(failed_sign_ins: int) -> bool:
    """Whether a password is switched off, until there is a new one, on unknown devices."""
    return failed_sign_ins >= MAX_FAILED_SIGN_INS
