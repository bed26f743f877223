"""The kinds of clients, and what follows from a kind alone."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class ClientKind(StrEnum):
    """An app with a server, an app in a browser, an installed app, or a service without users."""

    WEB = "web"
    SPA = "spa"
    NATIVE = "native"
    MACHINE = "machine"


class AuthMethod(StrEnum):
    """The way in which a client proves who it is at the token endpoint."""

    SECRET = "secret"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantLifetimes:
    """The lifetimes of what a user grants to a client.

    Args:
        idle: time without a refresh after which a grant ends.
        absolute: time after which it ends whatever happens (ASVS 10.4.8).
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
}
"""By kind (chosen); a machine has no grant, since its tokens are of no user."""

ACCESS_TOKEN_TTL = timedelta(minutes=10)
"""Lifetime of a client's access token unless it has its own (design)."""


def auth_method_of(kind: ClientKind) -> AuthMethod:
    """Return how clients of a kind authenticate.

    A program that people install, or that runs in their browser, cannot keep a secret (OAuth 2.1
    §2.1).
    """
    is_confidential = kind in (ClientKind.WEB, ClientKind.MACHINE)
    return AuthMethod.SECRET if is_confidential else AuthMethod.NONE
