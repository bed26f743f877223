"""Checks of second factors: their settings, and the accounts that have or need them."""

from urllib.parse import urlsplit

from authserve.core.findings import Finding, Level
from authserve.mfa.ceremonies import is_public_suffix
from authserve.mfa.inspect import (
    MAX_DECRYPTED,
    count_foreign_passkeys,
    count_undecryptable_secrets,
    owners_of_factors,
)
from authserve.rbac.assignment import holders_of
from authserve.rbac.policy import ADMIN_ROLE
from authserve.settings.model import Mfa, Settings
from authserve.users.lists import UserFilters, count_users_except

MAX_COUNTED = 1_000
"""Accounts that a check counts at most (chosen)."""


def check_passkey_settings(settings: Settings) -> Finding:
    """Check that browsers make passkeys for `PASSKEY_RP_ID`, and that required factors have one."""
    name, rp_id = "passkeys", settings.passkey_rp_id
    if not rp_id and settings.mfa is Mfa.REQUIRED:
        message = (
            "MFA is required, but no factor withstands phishing (NIST SP 800-63B-4 §2.2): set "
            "PASSKEY_RP_ID."
        )
        return Finding(name, Level.WARNING, message)
    if not rp_id:
        return Finding(name, Level.OK, "PASSKEY_RP_ID is empty: there are no passkeys.")
    if is_public_suffix(rp_id):
        message = f"PASSKEY_RP_ID is the public suffix {rp_id}: browsers make no passkey for it."
        return Finding(name, Level.FAILURE, message)
    host = urlsplit(settings.public_url).hostname or ""
    if host != rp_id and not host.endswith(f".{rp_id}"):
        message = f"PUBLIC_URL is not at or under {rp_id}, so its own pages can use no passkey."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, f"Passkeys are for {rp_id}.")


def check_administrators(settings: Settings) -> Finding:
    """Warn of active administrators without a usable second factor."""
    name = "administrators"
    filters = UserFilters(is_active=True, ids=holders_of(ADMIN_ROLE))
    count = count_users_except(filters, owners_of_factors(settings), limit=MAX_COUNTED)
    if count:
        message = (
            f"Administrators without a second factor: {_at_most(count)}. See `flask users list "
            "--role admin`, and consider `flask roles requires-mfa admin on`."
        )
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "Every administrator has a second factor.")


def check_accounts_with_mfa(settings: Settings) -> Finding:
    """Warn of accounts that need a second factor and have none that is usable."""
    name = "second factors"
    filters = UserFilters(is_active=True, mfa_enabled=True)
    count = count_users_except(filters, owners_of_factors(settings), limit=MAX_COUNTED)
    if count:
        message = (
            f"Accounts that need a second factor and have no usable one: {_at_most(count)}, for "
            "example after a reset. `flask users why NAME` explains what their next sign-in needs."
        )
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "Every account that switched MFA on has a usable factor.")


def check_stored_passkeys(settings: Settings) -> Finding:
    """Warn of passkeys that were made for another RP ID, so they work no more."""
    name, foreign = "stored passkeys", count_foreign_passkeys(settings)
    if foreign.count:
        message = (
            f"{foreign.count} passkeys are for another PASSKEY_RP_ID than the present one, and "
            f"{foreign.accounts} accounts have no other factor: set it back, or reset these."
        )
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "Every passkey is for the present PASSKEY_RP_ID.")


def check_totp_secrets() -> Finding:
    """Fail if `SECRET_KEY` and its fallbacks decrypt not every TOTP secret."""
    name, count = "authenticator apps", count_undecryptable_secrets()
    if count:
        message = (
            f"{count} of the oldest {MAX_DECRYPTED} TOTP secrets do not open under SECRET_KEY, so "
            "their owners get 503: put the former one into SECRET_KEY_FALLBACKS."
        )
        return Finding(name, Level.FAILURE, message)
    return Finding(name, Level.OK, "The TOTP secrets open under SECRET_KEY.")


def _at_most(count: int) -> str:
    return f"{count} or more" if count == MAX_COUNTED else str(count)
