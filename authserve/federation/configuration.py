"""The values of a provider that an operator sets, and the faults that they can have."""

import re
from dataclasses import field
from typing import TypedDict
from urllib.parse import urlsplit

from authserve.core.errors import ValidationFailedError
from authserve.core.frozen import frozen
from authserve.core.identifiers import canonical_domain
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.discovery import is_absolute_url
from authserve.federation.policy import LinkPolicy, ProviderRules
from authserve.federation.presets import DEFAULTS, Preset

SLUG_PATTERN = r"^[a-z][a-z0-9-]{0,31}$"
"""Pattern of a slug, which is part of the paths of pages (chosen)."""

MAX_ISSUER_LENGTH = 500
MAX_SCOPES, MAX_DOMAINS = 20, 50
"""Limits of a provider's values (chosen)."""

MAX_SECRET_LENGTH = 1_000
"""Limits a client's secret, in ASCII characters (chosen; providers' own have 24 to 100)."""

_TENANT = re.compile(
    r"https://login\.microsoftonline\.com/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/v2\.0"
)
"""Microsoft's issuer with the GUID of one tenant."""

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}")
"""A scope token (RFC 6749 §3.3)."""

_MISSING = "Missing data for required field."

Faults = dict[str, list[str]]
"""Sentences by the name of the value that they are about."""


@frozen(kw_only=True)
class ProviderConfiguration:
    """A provider's values.

    Args:
        name: on the button.
        issuer: its tokens name it exactly so.
        client_id: this service's, at the provider.
        enabled: False refuses sign-ins by it; identities stay.
        trusts_mfa: True if its statement that it asked for a second factor counts here.
    """

    preset: Preset
    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    enabled: bool = True
    rules: ProviderRules = field(default_factory=ProviderRules)
    trusts_mfa: bool = False

    @property
    def is_trusted(self) -> bool:
        """True if the provider's word opens an account, or counts as a second factor."""
        return self.trusts_mfa or self.rules.trusts_email


class ProviderChanges(TypedDict, total=False):
    """The values that change; the others stay."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    enabled: bool
    sign_up: bool
    link: LinkPolicy
    trusts_email: bool
    trusts_mfa: bool
    allowed_domains: frozenset[str]


def new_configuration(preset: Preset, given: ProviderChanges) -> ProviderConfiguration:
    """Return the values of a new provider: those that are given, else the preset's.

    Raises:
        ValidationFailedError: one is missing that the preset does not know.
    """
    defaults, own = DEFAULTS[preset], ProviderRules()
    issuer, client_id = given.get("issuer", defaults.issuer), given.get("client_id")
    if not issuer or not client_id:
        values = {"issuer": issuer, "client_id": client_id}
        raise ValidationFailedError(
            {name: [_MISSING] for name, value in values.items() if not value}
        )
    return ProviderConfiguration(
        preset=preset,
        name=given.get("name", defaults.name),
        issuer=issuer,
        client_id=client_id,
        scopes=given.get("scopes", defaults.scopes),
        enabled=given.get("enabled", True),
        rules=ProviderRules(
            sign_up=given.get("sign_up", own.sign_up),
            link=given.get("link", own.link),
            trusts_email=given.get("trusts_email", own.trusts_email),
            allowed_domains=given.get("allowed_domains", own.allowed_domains),
        ),
        trusts_mfa=given.get("trusts_mfa", False),
    )


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
    if not _is_issuer(issuer):
        return ["Give an absolute https URL without a user, query or fragment."]
    parts = urlsplit(issuer)
    if parts.scheme == "http" and not hosts.lists(parts.hostname or ""):
        faults.append("An http URL needs its host in OUTBOUND_HOSTS.")
    if configuration.preset is Preset.MICROSOFT and not _TENANT.fullmatch(issuer):
        # "common" and "organizations" would accept every organisation of the world.
        faults.append("Name one tenant: https://login.microsoftonline.com/TENANT-ID/v2.0.")
    if configuration.preset is Preset.GITHUB and parts.path:
        faults.append("Give GitHub's address without a path.")
    return faults


def _is_issuer(value: str) -> bool:
    is_bare = not set(value) & set("?#@\\")
    return is_bare and len(value) <= MAX_ISSUER_LENGTH and is_absolute_url(value)


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
