"""The values of a provider that an operator sets, and the faults that they can have."""

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from authserve.core.identifiers import canonical_domain
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.policy import LinkPolicy, ProviderRules
from authserve.federation.presets import Preset

SLUG_PATTERN = r"^[a-z][a-z0-9-]{0,31}$"
"""Pattern of a slug, which stands in the paths of pages (chosen)."""

MAX_ISSUER_LENGTH = 500
MAX_SCOPES, MAX_DOMAINS = 20, 50
"""Limits of a provider's values (chosen)."""

_TENANT = re.compile(
    r"https://login\.microsoftonline\.com/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/v2\.0"
)
"""Microsoft's issuer with the GUID of one tenant."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")
"""A scope token (RFC 6749 §3.3)."""

Faults = dict[str, list[str]]
"""Sentences by the name of the value that they are about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderConfiguration:
    """A provider's values.

    Args:
        name: on the button.
        issuer: its tokens name it exactly so.
        client_id: this service's, at the provider.
        enabled: False if no one signs in by it; identities stay.
        trusts_mfa: True if its word for a second factor counts as one here.
    """

    preset: Preset
    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    enabled: bool = True
    rules: ProviderRules = field(default_factory=ProviderRules)
    trusts_mfa: bool = False


def find_faults(configuration: ProviderConfiguration, *, hosts: OutboundHosts) -> Faults:
    """Return what is wrong with a provider's values.

    Args:
        hosts: the setting `OUTBOUND_HOSTS`: those that may be called by http.
    """
    found = {
        "issuer": _find_issuer_faults(configuration, hosts),
        "scopes": _find_scope_faults(configuration),
        "allowed_domains": _find_domain_faults(configuration),
    }
    return {name: faults for name, faults in found.items() if faults}


def _find_issuer_faults(configuration: ProviderConfiguration, hosts: OutboundHosts) -> list[str]:
    issuer, faults = configuration.issuer, []
    if not _is_url(issuer):
        return ["An absolute https URL without a user, query or fragment."]
    parts = urlsplit(issuer)
    if parts.scheme == "http" and not hosts.lists(parts.hostname or ""):
        faults.append("An http URL needs its host in OUTBOUND_HOSTS.")
    if configuration.preset is Preset.MICROSOFT and not _TENANT.fullmatch(issuer):
        # "common" and "organizations" would accept every organisation of the world.
        faults.append("https://login.microsoftonline.com/ and the tenant's GUID and /v2.0.")
    if configuration.preset is Preset.GITHUB and parts.path:
        faults.append("GitHub's address without a path.")
    return faults


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
        is_port_good = parts.port is None or parts.port > 0
    except ValueError:
        return False
    is_plain = value.isascii() and value.isprintable() and not set(value) & set(" ?#@\\")
    is_short = len(value) <= MAX_ISSUER_LENGTH
    return (
        is_plain and is_short and is_port_good
        and parts.scheme in ("https", "http") and bool(parts.hostname)
    )  # fmt: skip


def _find_scope_faults(configuration: ProviderConfiguration) -> list[str]:
    scopes = configuration.scopes
    if len(scopes) > MAX_SCOPES or not all(map(_SCOPE.fullmatch, scopes)):
        return [f"At most {MAX_SCOPES} scopes, without spaces or quotation marks."]
    if configuration.preset is not Preset.GITHUB and "openid" not in scopes:
        return ["openid is missing: without it there is no ID token."]
    return []


def _find_domain_faults(configuration: ProviderConfiguration) -> list[str]:
    domains = configuration.rules.allowed_domains
    if len(domains) > MAX_DOMAINS or any(canonical_domain(each) != each for each in domains):
        return [f"At most {MAX_DOMAINS} domains, such as example.com, in small letters."]
    return []


def has_unsafe_joining(configuration: ProviderConfiguration) -> bool:
    """Return True if `verified` has no effect, since the provider's addresses are not trusted."""
    rules = configuration.rules
    return rules.link is LinkPolicy.VERIFIED and not rules.trusts_email
