"""The kinds of clients, and what follows from a kind alone."""

from datetime import timedelta
from enum import StrEnum

from authserve.core.frozen import frozen


class ClientKind(StrEnum):
    """The kinds of programs that sign users in through this service, or act without users.

    They are an app with a server, an app in a browser, an installed app, a service without users,
    and an application that a reverse proxy guards.
    """

    WEB = "web"
    SPA = "spa"
    NATIVE = "native"
    MACHINE = "machine"
    PROXY = "proxy"


class AuthMethod(StrEnum):
    """The way in which a client proves who it is at the token endpoint.

    For `INTERNAL` there is no way: this service itself redeems the codes of proxied applications.
    """

    SECRET = "secret"
    NONE = "none"
    INTERNAL = "internal"


@frozen(kw_only=True)
class GrantLifetimes:
    """The lifetimes of what a user grants to a client.

    Args:
        idle: time without a refresh after which a grant ends.
        absolute: time after which it ends, however often it is refreshed (ASVS 10.4.8).
        absolute_offline: the same with the scope `offline_access`.
    """

    idle: timedelta
    absolute: timedelta
    absolute_offline: timedelta


_FORTNIGHT, _MONTH, _QUARTER = timedelta(days=14), timedelta(days=30), timedelta(days=90)

LIFETIMES = {
    ClientKind.WEB: GrantLifetimes(idle=_FORTNIGHT, absolute=_MONTH, absolute_offline=_QUARTER),
    # A browser keeps no secret well, so its tokens last for a working day.
    ClientKind.SPA: GrantLifetimes(
        idle=timedelta(hours=8), absolute=timedelta(days=1), absolute_offline=timedelta(days=1)
    ),
    ClientKind.NATIVE: GrantLifetimes(idle=_FORTNIGHT, absolute=_MONTH, absolute_offline=_QUARTER),
    # Never offline: an application behind a proxy gets no request while its user is away.
    ClientKind.PROXY: GrantLifetimes(
        idle=timedelta(hours=12), absolute=_FORTNIGHT, absolute_offline=_FORTNIGHT
    ),
}
"""By kind (chosen); a machine has no grant, since its tokens are of no user."""

ACCESS_TOKEN_TTL = timedelta(minutes=10)
"""Lifetime of a client's access token unless it has its own (design)."""


def auth_method_of(kind: ClientKind) -> AuthMethod:
    """Return how clients of a kind authenticate.

    A program that people install, or that runs in their browser, cannot keep a secret (OAuth 2.1
    §2.1).
    """
    if kind is ClientKind.PROXY:
        return AuthMethod.INTERNAL
    is_confidential = kind in (ClientKind.WEB, ClientKind.MACHINE)
    return AuthMethod.SECRET if is_confidential else AuthMethod.NONE
