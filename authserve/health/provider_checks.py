"""Checks of the providers of sign-in: their values, secrets, clocks, and whether they answer."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from authserve.core.clock import now
from authserve.core.crypto import UndecryptableError
from authserve.core.findings import Finding, Level
from authserve.core.outbound import OutboundClient
from authserve.federation.check import examine_values, find_discovery_fault
from authserve.federation.documents import callback_uri
from authserve.federation.registry import Provider, list_providers
from authserve.federation.secrets import read_secret
from authserve.federation.upstream import Upstream
from authserve.health.report import join_names
from authserve.settings.model import EmailVerification, Settings

MAX_CALLED = 20
"""Providers that are called at most (chosen), all at once, each for 5 s at most."""


def check_provider_values(_settings: Settings) -> Finding:
    """Name providers whose values have no effect or are weak."""
    found = [
        f"{provider.slug} ({finding.message})"
        for provider in _enabled_providers()
        for finding in examine_values(provider)
    ]
    if found:
        return Finding("provider values", Level.WARNING, join_names(found))
    return Finding("provider values", Level.OK, "Every provider is https, and its trust is clear.")


def check_address_proof(settings: Settings) -> Finding:
    """Warn of accounts that no one has proven to own, beside people whom providers name."""
    name = "provider addresses"
    if settings.email_verification is not EmailVerification.OFF:
        return Finding(name, Level.OK, "The first second factor of an account needs a mailed code.")
    if _enabled_providers():
        message = (
            "With EMAIL_VERIFICATION=off a stranger who registers a person's address can add a "
            "second factor, which outlives the reset by which its owner takes the account over. "
            "EMAIL_VERIFICATION=optional is enough: the first factor then needs a mailed code."
        )
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "No provider is enabled.")


def check_provider_secrets(_settings: Settings) -> Finding:
    """Report secrets that no `SECRET_KEY` decrypts."""
    found = [provider.slug for provider in list_providers() if not _has_secret(provider.slug)]
    if not found:
        return Finding("provider secrets", Level.OK, "SECRET_KEY decrypts the secret of each.")
    message = (
        "No SECRET_KEY decrypts the secrets of these, so no one signs in by them: "
        f"{join_names(found)}. Add the former SECRET_KEY to SECRET_KEY_FALLBACKS and run `flask "
        "keys rewrap`, or set each by `flask providers update SLUG --client-secret-file FILE`."
    )
    return Finding("provider secrets", Level.FAILURE, message)


def _has_secret(slug: str) -> bool:
    try:
        read_secret(slug)
    except UndecryptableError:
        return False
    return True


def check_provider_answers(settings: Settings) -> Finding:
    """Ask every enabled provider for its metadata, and compare its clock."""
    upstream = Upstream(OutboundClient(hosts=settings.outbound_hosts))
    called = _enabled_providers()[:MAX_CALLED]
    away = [
        f"{provider.slug} ({fault})"
        for provider, fault in zip(called, _find_faults(called, upstream, now()), strict=True)
        if fault is not None
    ]
    if away:
        message = f"`flask providers check SLUG` says more: {join_names(away)}."
        return Finding("provider answers", Level.WARNING, message)
    return Finding("provider answers", Level.OK, f"Providers that answer: {len(called)}.")


def _find_faults(
    providers: Sequence[Provider], upstream: Upstream, moment: datetime
) -> list[str | None]:
    def find_fault(provider: Provider) -> str | None:
        return find_discovery_fault(provider, upstream, now=moment)

    with ThreadPoolExecutor(max_workers=MAX_CALLED) as threads:
        return list(threads.map(find_fault, providers))


def check_redirect_uris(_settings: Settings) -> Finding:
    """List the redirect URIs that have to be registered at the providers."""
    found = [f"{each.slug} ({callback_uri(each.slug)})" for each in _enabled_providers()]
    text = f"Registered at each, exactly so: {join_names(found)}." if found else "There is none."
    return Finding("provider redirect URIs", Level.OK, text)


def _enabled_providers() -> list[Provider]:
    return [provider for provider in list_providers() if provider.configuration.enabled]


DATA_CHECKS = (
    check_provider_values,
    check_address_proof,
    check_provider_secrets,
    check_provider_answers,
    check_redirect_uris,
)
"""The checks that need the database."""
