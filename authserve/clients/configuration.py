"""The values of a client that an operator chooses, and the rules for them as a whole."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Literal, TypedDict

from authserve.clients.claims import ClaimRule, find_claim_faults
from authserve.clients.kinds import (
    ACCESS_TOKEN_TTL,
    LIFETIMES,
    AuthMethod,
    ClientKind,
    GrantLifetimes,
    auth_method_of,
)
from authserve.clients.origins import callback_of, find_origin_fault
from authserve.clients.redirect_uris import find_redirect_fault, host_of, is_https
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.http.callers import ACCOUNT_SCOPE as ACCOUNT_SCOPE
from authserve.rbac.policy import is_known_permission
from authserve.settings.model import Settings
from authserve.settings.return_urls import read_return_url

IDENTITY_SCOPES = ("openid", "profile", "email", "groups", "offline_access")
"""Scopes of OpenID Connect Core §5.4 and §11, and `groups`."""

OFFLINE_SCOPE = "offline_access"

PROXY_SCOPES = ("openid", "profile", "email", "groups")
"""The scopes of every proxied application: its headers carry the claims of these scopes."""

MAX_URIS = 50
MAX_SCOPES = 100
MAX_RESOURCES = 20
MAX_ROLES = 50
"""Limits the lists of a client (chosen: far above what an app needs)."""

SigningAlg = Literal["ES256", "RS256"]
ResponseMode = Literal["query", "form_post"]
IDTokenClaims = Literal["full", "lean"]
RemoteUser = Literal["id", "username"]


@frozen(kw_only=True)
class ClientConfiguration:
    """The choices of an operator for a client.

    Args:
        name: for people.
        first_party: True if its users need not consent, because the operator answers for it.
        enabled: False refuses all its calls.
        redirect_uris, post_logout_redirect_uris: addresses to which its users return.
        backchannel_logout_uri: the address that learns of ended sessions.
        home_uri: the app's own page, for a link.
        origins: of a proxied application; no other client has them.
        scopes: all that it may ask for.
        resources: audiences that it may ask for (RFC 8707).
        allowed_roles: a user needs one of these; empty means every user.
        role_prefix: `groups` has the roles that begin with it, without it.
        claims: see `claims.ClaimRule`.
        id_token_claims: `lean` leaves the claims of scopes to userinfo.
        signing_alg: of ID tokens and logout tokens.
        require_pkce: False lets a client with a secret do without PKCE, for old programs.
        response_mode: how authorization answers reach it.
        min_acr: the least level of its users' sessions; None means the account's own need.
        remote_user: what a proxy passes on as the user.
        access_token_ttl, refresh_idle_ttl, refresh_ttl, refresh_grace: in seconds; None means the
            kind's or the service's own.
    """

    name: str
    kind: ClientKind
    first_party: bool = False
    enabled: bool = True
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    backchannel_logout_uri: str | None = None
    home_uri: str | None = None
    origins: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    allowed_roles: tuple[str, ...] = ()
    role_prefix: str = ""
    claims: tuple[ClaimRule, ...] = ()
    id_token_claims: IDTokenClaims = "full"
    signing_alg: SigningAlg = "ES256"
    require_pkce: bool = True
    response_mode: ResponseMode = "query"
    min_acr: Literal["aal2", "phr"] | None = None
    remote_user: RemoteUser = "id"
    access_token_ttl: int | None = None
    refresh_idle_ttl: int | None = None
    refresh_ttl: int | None = None
    refresh_grace: int | None = None

    @property
    def return_uris(self) -> tuple[str, ...]:
        """The addresses to which its users return with a code."""
        return (*self.redirect_uris, *map(callback_of, self.origins))

    @property
    def auth_method(self) -> AuthMethod:
        """The way in which it proves its identity."""
        return auth_method_of(self.kind)

    @property
    def permissions(self) -> frozenset[str]:
        """The scopes that are permissions, at the API of this service and of others."""
        return frozenset(scope for scope in self.scopes if ":" in scope)

    @property
    def is_trusted(self) -> bool:
        """True if it acts without its users' consent, or on their accounts: for administrators."""
        return self.first_party or ACCOUNT_SCOPE in self.scopes

    @property
    def min_level(self) -> Level:
        """The least level of a session in which it may be used."""
        return next((level for level in Level if level.acr == self.min_acr), Level.AAL1)

    @property
    def access_ttl(self) -> timedelta:
        """The lifetime of its access tokens."""
        seconds = self.access_token_ttl
        return ACCESS_TOKEN_TTL if seconds is None else timedelta(seconds=seconds)

    @property
    def lifetimes(self) -> GrantLifetimes:
        """The lifetimes of its grants; for a machine there are none.

        Raises:
            LookupError: the client is a machine.
        """
        if self.kind not in LIFETIMES:
            raise LookupError("a machine has no grants")
        of_kind = LIFETIMES[self.kind]
        absolute, idle = _seconds(self.refresh_ttl), _seconds(self.refresh_idle_ttl)
        return GrantLifetimes(
            idle=idle or of_kind.idle,
            absolute=absolute or of_kind.absolute,
            absolute_offline=absolute or of_kind.absolute_offline,
        )


class ClientChanges(TypedDict, total=False):
    """New values of a client, by the names of `ClientConfiguration`; the kind never changes."""

    name: str
    first_party: bool
    enabled: bool
    redirect_uris: tuple[str, ...]
    post_logout_redirect_uris: tuple[str, ...]
    backchannel_logout_uri: str | None
    home_uri: str | None
    origins: tuple[str, ...]
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    allowed_roles: tuple[str, ...]
    role_prefix: str
    claims: tuple[ClaimRule, ...]
    id_token_claims: IDTokenClaims
    signing_alg: SigningAlg
    require_pkce: bool
    response_mode: ResponseMode
    min_acr: Literal["aal2", "phr"] | None
    remote_user: RemoteUser
    access_token_ttl: int | None
    refresh_idle_ttl: int | None
    refresh_ttl: int | None
    refresh_grace: int | None


def _seconds(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(seconds=number)


def find_faults(client: ClientConfiguration, *, settings: Settings) -> dict[str, list[str]]:
    """Return the faults of a client's values, a sentence each, by field.

    Args:
        settings: for the issuer, the audience and the hosts that may be private.
    """
    faults: dict[str, list[str]] = {}
    for field, fault in _iterate_faults(client, settings):
        faults.setdefault(field, []).append(fault)
    return faults


def _iterate_faults(client: ClientConfiguration, settings: Settings) -> Iterator[tuple[str, str]]:
    yield from _find_uri_faults(client, settings)
    yield from _find_scope_faults(client)
    yield from (("resources", fault) for fault in _find_resource_faults(client, settings))
    yield from (("claims", fault) for fault in find_claim_faults(client.claims))
    yield from _find_proxy_faults(client, settings)
    if client.auth_method is not AuthMethod.SECRET and not client.require_pkce:
        yield "require_pkce", "Only a client with a secret can do without PKCE."
    if client.kind is not ClientKind.WEB and client.response_mode == "form_post":
        yield "response_mode", "Only a web client can receive a form."
    idle, absolute = client.refresh_idle_ttl, client.refresh_ttl
    if idle is not None and absolute is not None and idle > absolute:
        yield "refresh_idle_ttl", "Must not be longer than refresh_ttl."


def _find_uri_faults(client: ClientConfiguration, settings: Settings) -> Iterator[tuple[str, str]]:
    has_uris = client.kind not in (ClientKind.MACHINE, ClientKind.PROXY)
    if has_uris and not client.redirect_uris:
        yield "redirect_uris", "Give at least one."
    for field in ("redirect_uris", "post_logout_redirect_uris"):
        for uri in getattr(client, field):
            fault = find_redirect_fault(uri, kind=client.kind, is_production=settings.is_production)
            if fault is not None:
                yield field, fault
    if client.home_uri is not None and not _is_web(client.home_uri, settings):
        yield "home_uri", "Give an https URI."
    if client.backchannel_logout_uri is not None:
        fault = find_backchannel_fault(client, client.backchannel_logout_uri, settings)
        if fault is not None:
            yield "backchannel_logout_uri", fault


def _find_proxy_faults(
    client: ClientConfiguration, settings: Settings
) -> Iterator[tuple[str, str]]:
    if client.kind is not ClientKind.PROXY:
        if client.origins:
            yield "origins", "Only a proxy has origins."
        return
    if not client.origins:
        yield "origins", "Give at least one."
    for origin in client.origins:
        fault = find_origin_fault(origin, settings=settings)
        if fault is not None:
            yield "origins", fault
    if client.resources or client.claims:
        yield "kind", "A proxy gets no tokens, so it has neither resources nor claims."


def _is_web(uri: str, settings: Settings) -> bool:
    if not settings.is_production and uri.startswith("http://"):
        uri = uri.replace("http://", "https://", 1)
    return is_https(uri)


def find_backchannel_fault(client: ClientConfiguration, uri: str, settings: Settings) -> str | None:
    """Return why a client's logout tokens cannot be sent to a URI, or None if they can.

    The worker calls it by itself, so its host must be one that users reach anyway, or the
    operator's.

    Args:
        uri: of the client, or to be.
        settings: for the hosts that may be private.
    """
    if client.kind is ClientKind.MACHINE:
        return "A machine has no users to sign out."
    if client.kind is ClientKind.PROXY:
        return "This service itself ends the sessions of a proxy."
    host, hosts = host_of(uri), settings.outbound_hosts
    if host is None or read_return_url(uri.replace("http://", "https://", 1)) is None:
        return "Give an https URI."
    is_listed = hosts.lists(host)
    if uri.startswith("http://") and not is_listed:
        return "Must be https, unless OUTBOUND_HOSTS names its host."
    if host not in map(host_of, client.redirect_uris) and not is_listed:
        return "Its host must be a redirect URI's host, or named by OUTBOUND_HOSTS."
    return None


def _find_scope_faults(client: ClientConfiguration) -> Iterator[tuple[str, str]]:
    if client.kind is ClientKind.PROXY:
        if set(client.scopes) != set(PROXY_SCOPES):
            yield "scopes", f"A proxy has exactly {', '.join(PROXY_SCOPES)}."
        return
    allowed = () if client.kind is ClientKind.MACHINE else (*IDENTITY_SCOPES, ACCOUNT_SCOPE)
    for number, scope in enumerate(client.scopes, start=1):
        if scope not in allowed and not is_known_permission(scope):
            names = ", ".join((*allowed, "or a permission"))
            # No answer repeats a caller's text, so the place in the list names it.
            yield "scopes", f"Number {number} is not a scope of this kind of client: {names}."
    if client.kind is ClientKind.SPA and OFFLINE_SCOPE in client.scopes:
        yield "scopes", "A client in a browser cannot go on while its user is away."


def _find_resource_faults(client: ClientConfiguration, settings: Settings) -> Iterator[str]:
    own = {settings.jwt_audience, settings.public_url, f"{settings.public_url}/"}
    for uri in client.resources:
        if uri in own:
            # Otherwise tokens of apps would pass for the service's own.
            yield "Must be neither this service's issuer nor its JWT_AUDIENCE."
        elif not _is_web(uri, settings):
            yield "Give an https URI without a fragment (RFC 8707 §2)."
