"""The decision of authorize, made for an operator: why a user can or cannot use an app."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from authserve.clients.kinds import ClientKind
from authserve.clients.redirect_uris import is_at_registered_place
from authserve.clients.refused_redirects import list_refused_redirects
from authserve.clients.registry import RegisteredClient
from authserve.core.frozen import frozen
from authserve.mfa.assurance import need_of
from authserve.mfa.factors import find_factors
from authserve.oidc.authorize_request import AuthorizeRequest
from authserve.oidc.consents import find_consent
from authserve.oidc.errors import ReturnTarget
from authserve.oidc.policy import (
    AskConsent,
    Decision,
    Grant,
    LevelMissing,
    NotOpen,
    Refuse,
    SignedInUser,
    decide,
)
from authserve.oidc.queries import find_roles
from authserve.rbac.policy import ADMIN_ROLE
from authserve.settings.model import SETTINGS
from authserve.users.accounts import User


class Obstacle(StrEnum):
    """The reasons for which a user cannot sign in to an app."""

    CLIENT_DISABLED = "client_disabled"
    CLIENT_IS_MACHINE = "client_is_machine"
    USER_DEACTIVATED = "user_deactivated"
    ROLE_MISSING = "role_missing"
    ROLE_SLEEPING = "role_sleeping"
    LEVEL_MISSING = "level_missing"
    SCOPE_MISSING = "scope_missing"


@frozen(kw_only=True)
class SignInCheck:
    """The result of a check.

    Args:
        obstacle: None if the user can sign in.
        needs_consent: True if the user is asked to allow the app first.
        scopes: what the app would get.
        missing_scopes: permissions of the client that no effective role of the user holds.
        refused_redirect_uris: unregistered redirect URIs that requests named, newest first.
        addable: those of them with the scheme and host of a registered one.
    """

    obstacle: Obstacle | None
    needs_consent: bool = False
    scopes: Sequence[str] = ()
    missing_scopes: Sequence[str] = ()
    refused_redirect_uris: Sequence[str] = ()
    addable: Sequence[str] = ()


def check_sign_in(user: User, client: RegisteredClient, *, now: datetime) -> SignInCheck:
    """Return whether a user can sign in to an app now, and why not.

    It assumes a session at the level that the account needs, as after a plain sign-in.
    """
    configuration = client.configuration
    refused = [found.value for found in list_refused_redirects(client.client_id)]
    registered = configuration.return_uris
    addable = [uri for uri in refused if is_at_registered_place(uri, registered)]
    found = _decide(user, client, now)
    return replace(found, refused_redirect_uris=refused, addable=addable)


def _decide(user: User, client: RegisteredClient, now: datetime) -> SignInCheck:
    configuration = client.configuration
    if configuration.kind is ClientKind.MACHINE:
        return SignInCheck(obstacle=Obstacle.CLIENT_IS_MACHINE)
    if not configuration.enabled:
        return SignInCheck(obstacle=Obstacle.CLIENT_DISABLED)
    if not user.is_active:
        return SignInCheck(obstacle=Obstacle.USER_DEACTIVATED)
    signed_in, consent = _signed_in(user, now), find_consent(user.id, client.client_id)
    request = _request_of(client, now)
    decision = decide(request, client=configuration, user=signed_in, consent=consent, now=now)
    missing = [
        scope
        for scope in sorted(configuration.permissions)
        if not signed_in.holds_everything and scope not in signed_in.permissions
    ]
    return SignInCheck(
        obstacle=_obstacle_of(decision),
        needs_consent=isinstance(decision, AskConsent),
        scopes=decision.scopes if isinstance(decision, Grant | AskConsent) else (),
        missing_scopes=missing,
    )


def _signed_in(user: User, now: datetime) -> SignedInUser:
    level = need_of(mfa_enabled=user.mfa_enabled, settings=SETTINGS.get(), now=now)
    roles = find_roles(user.id, level)
    return SignedInUser(
        id=user.id,
        level=level,
        reachable_level=max(level, find_factors(user.id).reached_level),
        auth_time=now,
        roles=frozenset(roles.effective),
        sleeping_roles=roles.sleeping,
        permissions=roles.permissions,
        holds_everything=ADMIN_ROLE in roles.effective,
    )


def _request_of(client: RegisteredClient, now: datetime) -> AuthorizeRequest:
    """Return a request for all that a client may ask for, at its first address."""
    configuration = client.configuration
    return AuthorizeRequest(
        client_id=client.client_id,
        target=ReturnTarget(
            redirect_uri=configuration.return_uris[0],
            state=None,
            response_mode=configuration.response_mode,
        ),
        scopes=configuration.scopes,
        dropped_scopes=(),
        nonce=None,
        code_challenge=None,
        prompts=frozenset(),
        max_age_secs=None,
        login_hint=None,
        id_token_hint=None,
        levels=(),
        resource=None,
        begun=now,
    )


def _obstacle_of(decision: Decision) -> Obstacle | None:
    match decision:
        case NotOpen(can_step_up):
            return Obstacle.ROLE_SLEEPING if can_step_up else Obstacle.ROLE_MISSING
        case LevelMissing():
            return Obstacle.LEVEL_MISSING
        case Refuse():
            return Obstacle.SCOPE_MISSING
        case _:
            # A step-up that the user can do is no obstacle, nor is a consent.
            return None
