"""Documents of providers for the API and the command line; none has a secret.

It is small because both need it, and neither may import the other.
"""

from typing import Any

from authserve.core.clock import to_rfc3339
from authserve.federation.registry import Provider
from authserve.settings.model import SETTINGS


def callback_uri(slug: str) -> str:
    """Return the redirect URI to register at a provider: one of its own (ASVS 10.2.1)."""
    return f"{SETTINGS.get().public_url}/sign-in/with/{slug}/callback"


def provider_document(provider: Provider) -> dict[str, Any]:
    """Return a provider's document."""
    configuration = provider.configuration
    rules = configuration.rules
    return {
        "slug": provider.slug,
        "preset": configuration.preset.value,
        "name": configuration.name,
        "issuer": configuration.issuer,
        "client_id": configuration.client_id,
        "redirect_uri": callback_uri(provider.slug),
        "scopes": list(configuration.scopes),
        "enabled": configuration.enabled,
        "sign_up": rules.sign_up,
        "link": rules.link.value,
        "trusts_email": rules.trusts_email,
        "trusts_mfa": configuration.trusts_mfa,
        "allowed_domains": sorted(rules.allowed_domains),
        "created_at": to_rfc3339(provider.created_at),
        "updated_at": to_rfc3339(provider.updated_at),
    }
