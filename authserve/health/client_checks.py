"""Checks of the clients of OAuth: weak choices, secrets that end, and apps that do not work."""

from collections.abc import Iterable, Iterator
from datetime import timedelta

from authserve.clients.client_secrets import list_secrets_of
from authserve.clients.configuration import find_faults
from authserve.clients.kinds import AuthMethod, ClientKind
from authserve.clients.listing import all_clients
from authserve.clients.redirect_uris import is_plain_http
from authserve.clients.registry import RegisteredClient
from authserve.clients.status import ClientObstacle, find_client_status
from authserve.core.clock import now
from authserve.core.findings import Finding, Level
from authserve.core.outbound import OutboundClient, OutboundError, OutboundLimits, OutboundRequest
from authserve.health.report import join_names
from authserve.sessions.listing import find_scopes_of_client
from authserve.settings.model import Settings

EXPIRY_NOTICE = timedelta(days=30)
"""Time before a secret's end from which on it is reported (design)."""

UNUSED = timedelta(days=90)
"""Time without a use after which a secret is reported (design)."""

MIN_AGE = timedelta(days=90)
"""Age from which on a client's unused scopes are reported (chosen: every app was used by then)."""

MAX_CALLED = 20
"""Back channels that are called at most (chosen), since each takes up to `REACH` to fail."""

REACH = OutboundLimits(total_secs=3.0, max_bytes=65_536)
"""Limits of a call that only finds out whether an app answers (chosen)."""

_HARMLESS = frozenset({ClientObstacle.CLIENT_DISABLED, ClientObstacle.CLIENT_IS_MACHINE})


def check_issuer(settings: Settings) -> Finding:
    """Warn of an issuer without TLS, which most apps refuse (OpenID Connect Discovery §3)."""
    if settings.public_url.startswith("https://"):
        return Finding("issuer", Level.OK, f"Apps know this service as {settings.public_url}.")
    message = f"{settings.public_url} is not https: most apps refuse such an issuer."
    return Finding("issuer", Level.FAILURE if settings.is_production else Level.WARNING, message)


def check_client_choices(_settings: Settings) -> Finding:
    """Name the clients that do with less than the defaults: PKCE, ES256, https."""
    weak = [_name(client, reason) for client, reason in _find_weak(_enabled_clients())]
    if not weak:
        return Finding("client choices", Level.OK, "Every client uses PKCE, ES256 and https.")
    message = (
        f"Less than the default, which only an app that needs it should have: {join_names(weak)}."
    )
    return Finding("client choices", Level.WARNING, message)


def _enabled_clients() -> list[RegisteredClient]:
    return [client for client in all_clients() if client.configuration.enabled]


def _find_weak(clients: Iterable[RegisteredClient]) -> Iterator[tuple[RegisteredClient, str]]:
    for client in clients:
        configuration = client.configuration
        if not configuration.require_pkce:
            yield client, "without PKCE"
        if configuration.signing_alg != "ES256":
            yield client, configuration.signing_alg
        if any(map(is_plain_http, configuration.return_uris)):
            yield client, "http"


def _name(client: RegisteredClient, reason: str) -> str:
    return f"{client.client_id} ({reason})"


def check_client_secrets(_settings: Settings) -> Finding:
    """Warn of secrets that expire soon or were not used for long."""
    found = list(_find_old_secrets(_enabled_clients()))
    if not found:
        return Finding("client secrets", Level.OK, "No secret of a client expires soon or idles.")
    message = f"Replace them by `flask clients rotate-secret`: {join_names(found)}."
    return Finding("client secrets", Level.WARNING, message)


def _find_old_secrets(clients: list[RegisteredClient]) -> Iterator[str]:
    moment = now()
    with_secret = [
        client for client in clients if client.configuration.auth_method is AuthMethod.SECRET
    ]
    secrets = list_secrets_of([client.client_id for client in with_secret])
    for client in with_secret:
        for secret in secrets[client.client_id]:
            used_at = secret.last_used_at or secret.created_at
            if secret.expires_at is not None and secret.expires_at <= moment + EXPIRY_NOTICE:
                yield _name(client, f"…{secret.hint} expires {secret.expires_at:%Y-%m-%d}")
            elif used_at <= moment - UNUSED:
                yield _name(client, f"…{secret.hint} unused since {used_at:%Y-%m-%d}")


def check_client_scopes(_settings: Settings) -> Finding:
    """Warn of permissions among the scopes of apps that no live or past session has."""
    wide = list(_find_unused_scopes(_enabled_clients()))
    if not wide:
        return Finding("client scopes", Level.OK, "No app has a permission that it never used.")
    message = f"Never used in the sessions that are kept: {join_names(wide)}."
    return Finding("client scopes", Level.WARNING, message)


def _find_unused_scopes(clients: Iterable[RegisteredClient]) -> Iterator[str]:
    for client in clients:
        configuration = client.configuration
        # The tokens of a machine leave no row.
        is_old = client.created_at <= now() - MIN_AGE
        if configuration.permissions and is_old and configuration.kind is not ClientKind.MACHINE:
            unused = configuration.permissions - find_scopes_of_client(client.client_id)
            if unused:
                yield _name(client, " ".join(sorted(unused)))


def check_client_requests(settings: Settings) -> Finding:
    """Warn of apps that cannot sign users in, or whose values could not be registered now."""
    broken = list(_find_broken(_enabled_clients(), settings))
    if not broken:
        return Finding("client requests", Level.OK, "Every enabled app can sign users in.")
    message = f"See `flask clients status CLIENT`: {join_names(broken)}."
    return Finding("client requests", Level.WARNING, message)


def _find_broken(clients: Iterable[RegisteredClient], settings: Settings) -> Iterator[str]:
    for client in clients:
        # The settings may have changed since it was registered.
        for field in find_faults(client.configuration, settings=settings):
            yield _name(client, f"refused by the settings: {field}")
        status = find_client_status(client.client_id)
        for reason in set(status.reasons) - _HARMLESS:
            yield _name(client, reason)
        if status.addable:
            yield _name(client, "asks for a redirect URI that is not registered")


def check_back_channels(settings: Settings) -> Finding:
    """Call the address of each app that learns of ended sessions; every answer is good."""
    uris = {
        client.client_id: client.configuration.backchannel_logout_uri
        for client in _enabled_clients()
    }
    sender = OutboundClient(hosts=settings.outbound_hosts)
    called = [(name, uri) for name, uri in uris.items() if uri is not None][:MAX_CALLED]
    away = [
        f"{name} ({fault})"
        for name, uri in called
        if (fault := _find_fault(sender, uri)) is not None
    ]
    if away:
        message = f"These learn of no ended session: {join_names(away)}."
        return Finding("back channels", Level.WARNING, message)
    return Finding(
        "back channels", Level.OK, f"Apps that answer on their back channel: {len(called)}."
    )


def _find_fault(sender: OutboundClient, uri: str) -> str | None:
    try:
        sender.send(OutboundRequest(url=uri), REACH)
    except OutboundError as error:
        return error.reason
    return None


DATA_CHECKS = (
    check_client_choices,
    check_client_secrets,
    check_client_scopes,
    check_client_requests,
    check_back_channels,
)
"""The checks that need the database."""
