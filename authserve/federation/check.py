"""The check of a provider: each cause for which its sign-ins would fail, in words.

It asks the provider what a sign-in asks, with a code that cannot be good: a provider that knows the
client and its secret answers that the code is wrong (RFC 6749 §5.2).
"""

from collections.abc import Iterator
from dataclasses import field
from datetime import datetime
from urllib.parse import urlsplit

from authserve.core.findings import Finding, Level
from authserve.core.frozen import frozen
from authserve.core.outbound_hosts import OutboundHosts
from authserve.federation.ask import github_api
from authserve.federation.code_exchange import Exchange
from authserve.federation.configuration import ProviderConfiguration, has_unsafe_joining
from authserve.federation.discovery import Metadata, discovery_url
from authserve.federation.id_tokens import ALGORITHMS, LEEWAY_SECS
from authserve.federation.presets import Preset
from authserve.federation.registry import Provider
from authserve.federation.upstream import (
    CodeRefusedError,
    ProviderUnavailableError,
    Upstream,
)

_CODE = "authserve-check"
"""A code that no provider has given out."""

_VERIFIER = "authserve-check-of-the-credentials-of-a-client"
"""Of the length that RFC 7636 §4.1 asks for."""

_KNOWN_CLIENT = frozenset({"invalid_grant", "bad_verification_code"})
"""Answers to a wrong code from the right client; the second is GitHub's."""

_WRONG_CLIENT = frozenset({"invalid_client", "unauthorized_client", "incorrect_client_credentials"})
"""Answers to an unknown client or a wrong secret; Keycloak sends the second, GitHub the third."""

_AUTH_METHODS = frozenset({"client_secret_basic", "client_secret_post"})


@frozen(kw_only=True)
class Subject:
    """A provider to check.

    Args:
        secret: of this service's client there; None if no `SECRET_KEY` decrypts it.
        redirect_uri: to register there.
        hosts: hosts that may be called by http.
        now: the current time.
    """

    provider: Provider
    secret: str | None = field(repr=False)
    redirect_uri: str
    hosts: OutboundHosts
    now: datetime

    @property
    def configuration(self) -> ProviderConfiguration:
        """The provider's values."""
        return self.provider.configuration


def examine_provider(subject: Subject, upstream: Upstream) -> Iterator[Finding]:
    """Yield the findings about a provider, each fault with its remedy.

    Args:
        upstream: with an empty cache, so that the provider is called now.
    """
    yield from examine_values(subject.provider)
    if subject.configuration.preset is Preset.GITHUB:
        yield from _examine_github(subject, upstream)
    else:
        yield from _examine_openid(subject, upstream)
    yield _ok("redirect URI", f"Register it there, exactly so: {subject.redirect_uri}")


def examine_values(provider: Provider) -> Iterator[Finding]:
    """Yield the weak values of a provider, without a call."""
    slug, configuration = provider.slug, provider.configuration
    if not configuration.enabled:
        yield _warn("state", f"No one signs in by it: flask providers enable {slug}")
    if has_unsafe_joining(configuration):
        yield _warn(
            "link",
            "verified works as confirm, since its addresses are not trusted: add --trusts-email, "
            "or choose --link confirm.",
        )
    if configuration.issuer.startswith("http:"):
        yield _warn(
            "issuer", "It is not https: an attacker on the network can sign in as any person."
        )


def find_discovery_fault(provider: Provider, upstream: Upstream, *, now: datetime) -> str | None:
    """Return why a provider's first answer, or its clock, would make sign-ins fail; else None."""
    issuer = provider.configuration.issuer
    conversation = upstream.begin(issuer)
    try:
        if provider.configuration.preset is Preset.GITHUB:
            conversation.get_document(github_api(issuer))
        else:
            conversation.discover()
    except ProviderUnavailableError as error:
        return error.reason
    clock = _compare_clocks(conversation.server_time, now)
    return clock.message if clock.level is Level.FAILURE else None


def _examine_github(subject: Subject, upstream: Upstream) -> Iterator[Finding]:
    issuer = subject.configuration.issuer
    url, conversation = github_api(issuer), upstream.begin(issuer)
    try:
        conversation.get_document(url)
    except ProviderUnavailableError as error:
        yield _fail("API", f"{url}: {error.reason}. Does this server reach the internet?")
        return
    yield _ok("API", f"{url} answers.")
    yield _compare_clocks(conversation.server_time, subject.now)
    endpoint = f"{issuer}/login/oauth/access_token"
    yield _examine_credentials(subject, upstream, endpoint, takes_basic=False)


def _examine_openid(subject: Subject, upstream: Upstream) -> Iterator[Finding]:
    conversation = upstream.begin(subject.configuration.issuer)
    try:
        metadata = conversation.discover()
    except ProviderUnavailableError as error:
        yield _fail("discovery", _explain_discovery(subject, upstream, error.reason))
        return
    yield _ok("discovery", f"{subject.configuration.issuer} answers, and names itself so.")
    yield _compare_clocks(conversation.server_time, subject.now)
    yield _examine_endpoints(metadata, subject.hosts)
    yield from _examine_support(metadata)
    yield _examine_keys(subject, upstream, metadata)
    yield _examine_credentials(
        subject, upstream, metadata.token_endpoint, takes_basic=metadata.takes_basic
    )


def _explain_discovery(subject: Subject, upstream: Upstream, reason: str) -> str:
    issuer = subject.configuration.issuer
    url = discovery_url(issuer)
    try:
        document = upstream.begin(issuer).get_document(url)
    except ProviderUnavailableError:
        document = None
    theirs = document.get("issuer") if isinstance(document, dict) else None
    if isinstance(theirs, str) and theirs != issuer:
        return (
            f"{url} names the issuer {theirs[:200]!r}, and so do its ID tokens; here it is "
            f"{issuer!r}. If that is your provider, set it by flask providers update "
            f"{subject.provider.slug} --issuer ISSUER --client-secret-file FILE."
        )
    return (
        f"{url}: {reason}. Compare the issuer with the provider's documentation; a host in your "
        "own network, or without https, has to be in OUTBOUND_HOSTS."
    )


def _compare_clocks(theirs: datetime | None, ours: datetime) -> Finding:
    if theirs is None:
        return _ok("clock", "The provider does not say its time.")
    ahead = (theirs - ours).total_seconds()
    if abs(ahead) <= LEEWAY_SECS:
        return _ok("clock", "Both clocks agree.")
    direction = "ahead of" if ahead > 0 else "behind"
    return _fail(
        "clock",
        f"The provider's is {abs(ahead):.0f} s {direction} this server's; from {LEEWAY_SECS} s on "
        "ID tokens are refused. Let NTP set this server's.",
    )


def _examine_endpoints(metadata: Metadata, hosts: OutboundHosts) -> Finding:
    plain = [
        name
        for name, url in metadata.endpoints.items()
        if url.startswith("http:") and not hosts.lists(urlsplit(url).hostname or "")
    ]
    if plain:
        return _fail("endpoints", f"Not https, so they are not called: {', '.join(plain)}.")
    return _ok("endpoints", "The document names all that a sign-in needs.")


def _examine_support(metadata: Metadata) -> Iterator[Finding]:
    if metadata.response_types is not None and "code" not in metadata.response_types:
        yield _fail("response type", "The provider does not offer code, which every sign-in needs.")
    if metadata.challenge_methods is not None and "S256" not in metadata.challenge_methods:
        yield _warn(
            "PKCE", "The provider offers it without S256, which is sent; it may refuse requests."
        )
    if metadata.auth_methods is not None and not metadata.auth_methods & _AUTH_METHODS:
        yield _fail(
            "client authentication",
            "The provider does not accept a client secret; authserve has nothing else.",
        )


def _examine_keys(subject: Subject, upstream: Upstream, metadata: Metadata) -> Finding:
    try:
        conversation = upstream.begin(subject.configuration.issuer)
        keys = conversation.find_keys(metadata.jwks_uri)
    except ProviderUnavailableError as error:
        return _fail("keys", f"{metadata.jwks_uri}: {error.reason}.")
    accepted = ALGORITHMS if metadata.algorithms is None else ALGORITHMS & metadata.algorithms
    fitting = [key for key in keys if any(map(key.fits, accepted))]
    if not fitting:
        return _fail(
            "keys",
            f"{metadata.jwks_uri} has no key for an accepted algorithm (RS, PS, ES, EdDSA). Let "
            "the provider sign ID tokens for this client with RS256 or ES256; RSA keys need 2048 "
            "bits.",
        )
    return _ok("keys", f"{len(fitting)} can verify ID tokens.")


def _examine_credentials(
    subject: Subject, upstream: Upstream, endpoint: str, *, takes_basic: bool
) -> Finding:
    if subject.secret is None:
        return _fail(
            "credentials",
            "No SECRET_KEY decrypts the secret: add the former one to SECRET_KEY_FALLBACKS, or "
            f"run flask providers update {subject.provider.slug} --client-secret-file FILE.",
        )
    exchange = Exchange(
        client_id=subject.configuration.client_id,
        client_secret=subject.secret,
        code=_CODE,
        verifier=_VERIFIER,
        redirect_uri=subject.redirect_uri,
    )
    conversation = upstream.begin(subject.configuration.issuer)
    try:
        conversation.exchange(endpoint, exchange, takes_basic=takes_basic)
    except CodeRefusedError as error:
        return _read_refusal(error.error, subject)
    except ProviderUnavailableError as error:
        return _fail("credentials", f"{endpoint}: {error.reason}.")
    return _fail(
        "credentials", f"{endpoint} accepted a code that it never issued: do not use this provider."
    )


def _read_refusal(error: str, subject: Subject) -> Finding:
    if error in _KNOWN_CLIENT:
        return _ok("credentials", "The provider knows the client and takes its secret.")
    if error in _WRONG_CLIENT:
        return _fail(
            "credentials",
            f"The provider refuses the client or its secret ({error}). Compare the client id, copy "
            f"the secret again, and run flask providers update {subject.provider.slug} "
            "--client-secret-file FILE.",
        )
    if error == "redirect_uri_mismatch":
        return _fail("credentials", f"Register there the redirect URI {subject.redirect_uri}")
    return _warn(
        "credentials",
        f"The provider answered {error} to a code that cannot be good, so this does not show "
        "whether it takes the secret.",
    )


def _ok(check: str, message: str) -> Finding:
    return Finding(check, Level.OK, message)


def _warn(check: str, message: str) -> Finding:
    return Finding(check, Level.WARNING, message)


def _fail(check: str, message: str) -> Finding:
    return Finding(check, Level.FAILURE, message)
