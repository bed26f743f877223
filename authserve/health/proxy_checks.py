"""The checks of forward authentication by `flask doctor`; only that feature's commands import them.

They are few because the log names what is missing whenever a proxy's call is refused.
"""

from authserve.clients.origins import list_origins
from authserve.core.findings import Finding, Level
from authserve.settings.model import Settings

_NAME = "forward-auth"


def check_networks(settings: Settings) -> Finding:
    """Warn of networks whose machines are not the operator's alone."""
    networks = settings.forward_auth_networks
    wide = [str(network) for network in networks if not network.is_private]
    if wide:
        message = (
            f"FORWARD_AUTH_NETWORKS has networks that are not private: {', '.join(wide)}. A "
            "machine there can learn whose cookie opens an application. List the proxies alone."
        )
        return Finding(_NAME, Level.WARNING, message)
    return Finding(_NAME, Level.OK, f"Proxies may ask from {', '.join(map(str, networks))}.")


def check_origins(_settings: Settings) -> Finding:
    """Report the applications that proxies guard."""
    name, origins = "proxied applications", list_origins()
    if not origins:
        message = (
            "forward-auth is on, and no application is registered. Run: flask clients create NAME "
            "--kind proxy --origin https://app.example.com"
        )
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, f"Proxies guard {', '.join(origins)}.")
