"""Checks of client addresses and of rate limits."""

from authserve.audit.client_addresses import find_shared_address
from authserve.health.finding import Finding, Level
from authserve.ratelimit.storage import LIMIT_COUNTERS
from authserve.settings.model import Settings


def client_addresses(settings: Settings) -> Finding:
    """Report the rule for client addresses; warn if all clients seem to share one address."""
    name, count = "client addresses", settings.trusted_proxies
    shared = find_shared_address()
    if shared is not None:
        return Finding(name, Level.WARNING, shared.warning)
    if count == 0:
        return Finding(name, Level.OK, "A client is who connects; X-Forwarded-For is not believed.")
    place = "the last" if count == 1 else f"number {count} from the end"
    return Finding(name, Level.OK, f"A client's address is {place} in X-Forwarded-For.")


def ordinary_limits(settings: Settings) -> Finding:
    """Report if the ordinary limits are on, and the storage that counts them."""
    name = "limits"
    if not settings.ratelimit_enabled:
        message = "RATELIMIT_ENABLED is false: only wrong passwords are limited."
        return Finding(name, Level.WARNING, message)
    if settings.ratelimit_storage_url == "database:":
        return Finding(name, Level.OK, "Limits are on, and counted in the database.")
    if not LIMIT_COUNTERS.get().is_reachable():
        message = "Redis does not answer, so limits are off. Look at RATELIMIT_STORAGE_URL."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "Limits are on, and counted in Redis, which answers.")
