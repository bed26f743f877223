"""The check of API keys by `flask doctor`; only commands of the feature import it."""

from datetime import timedelta

from authserve.apikeys.listing import count_live_keys
from authserve.core.clock import now
from authserve.core.findings import Finding, Level
from authserve.settings.model import Settings

UNUSED = timedelta(days=90)
"""The time after which a live key counts as forgotten (chosen); that of clients' secrets."""


def check_api_keys(_settings: Settings) -> Finding:
    """Warn of live API keys that are not used any more."""
    name, counts = "API keys", count_live_keys(unused_since=now() - UNUSED)
    if counts.unused:
        message = (
            f"{counts.unused} of {counts.live} API keys were not used for {UNUSED.days} days: "
            "their owners can revoke them on /account/keys, and you with `flask api-keys revoke`."
        )
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, f"Good API keys: {counts.live}.")
