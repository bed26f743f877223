"""The decision at authorize: what follows from a request, its client, a session and a consent.

It is pure. It is made anew whenever the person comes back, so no step can be skipped. The order of
the questions is: Is the person signed in, and recently enough? May this person use the app? Does
the sign-in reach the level? Has the person allowed the scopes?
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from authserve.clients.configuration import ClientConfiguration
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.oidc.authorize_request import AuthorizeRequest, Prompt
from authserve.oidc.errors import OAuthCode


@frozen(kw_only=True)
class SignedInUser:
    """The user whom a browser's session belongs to, and what that session is worth.

    Args:
        level: of the session; at least what the account needs.
        reachable_level: the highest level that the user's factors can reach.
        auth_time: the time of the last proof.
        roles: names of the roles that have effect in the session.
        sleeping_roles: roles that have effect only after a second factor.
        permissions: those of `roles`.
        holds_everything: True for an administrator.
    """

    id: UUID
    level: Level
    reachable_level: Level
    auth_time: datetime
    roles: frozenset[str]
    sleeping_roles: frozenset[str]
    permissions: frozenset[str]
    holds_everything: bool = False


@frozen(kw_only=True)
class Consent:
    """The scopes that a user has allowed a client."""

    scopes: frozenset[str]


@frozen()
class Grant:
    """The client gets a code for these scopes."""

    scopes: tuple[str, ...]


@frozen()
class SignIn:
    """The person has to sign in, perhaps with another account."""


@frozen()
class StepUp:
    """The signed-in person has to give a proof again, which reaches this level."""

    level: Level


@frozen()
class AskConsent:
    """The person has to allow these scopes, or at least to see which app asks."""

    scopes: tuple[str, ...]


@frozen()
class NotOpen:
    """The app is not open to this user; a step-up may wake a role that opens it."""

    can_step_up: bool


@frozen()
class LevelMissing:
    """The client needs a level that the user's factors cannot reach."""

    level: Level


@frozen()
class Refuse:
    """The app gets a refusal by redirect."""

    code: OAuthCode


Decision = Grant | SignIn | StepUp | AskConsent | NotOpen | LevelMissing | Refuse


def decide(
    request: AuthorizeRequest,
    *,
    client: ClientConfiguration,
    user: SignedInUser | None,
    hinted_user: UUID | None = None,
    consent: Consent | None = None,
    is_confirmed: bool = False,
    now: datetime,
) -> Decision:
    """Return what an authorization request leads to.

    Args:
        client: enabled; the request's.
        user: None if the browser is not signed in, or below what its account needs.
        hinted_user: the subject of the request's `id_token_hint`; None without a valid one.
        consent: what the user has allowed the client so far.
        is_confirmed: True if the user has just allowed this request on the page that asks.
    """
    is_silent = Prompt.NONE in request.prompts
    if user is None or (hinted_user is not None and hinted_user != user.id):
        return Refuse(OAuthCode.LOGIN_REQUIRED) if is_silent else SignIn()
    step_up = _find_step_up(request, client, user, now)
    if step_up is not None and not step_up.is_recent:
        return Refuse(OAuthCode.LOGIN_REQUIRED) if is_silent else _ask_for_proof(request, step_up)
    if client.allowed_roles and not user.roles.intersection(client.allowed_roles):
        return Refuse(OAuthCode.ACCESS_DENIED) if is_silent else _not_open(client, user)
    if user.level < client.min_level:
        if is_silent:
            return Refuse(OAuthCode.UNMET_AUTHENTICATION_REQUIREMENTS)
        if user.reachable_level < client.min_level:
            return LevelMissing(client.min_level)
    if step_up is not None and not is_silent:
        return StepUp(step_up.level)
    scopes = find_granted_scopes(request.scopes, client=client, user=user)
    if not scopes:
        return Refuse(OAuthCode.ACCESS_DENIED)
    return _decide_consent(request, client, consent, scopes, is_confirmed=is_confirmed)


@frozen()
class _NeededProof:
    """A proof that is needed.

    Args:
        is_recent: True if the last proof is recent enough, and only its level is too low.
    """

    level: Level
    is_recent: bool


def _find_step_up(
    request: AuthorizeRequest, client: ClientConfiguration, user: SignedInUser, now: datetime
) -> _NeededProof | None:
    """Return the proof that the request or the client asks for, or None if the session has it.

    A proof must reach the session's level again, so that a password alone never freshens a session
    of two factors.
    """
    wanted = max(client.min_level, _voluntary_level(request, user))
    level = min(max(wanted, user.level), max(user.reachable_level, user.level))
    is_recent = _is_recent(request, user, now)
    return None if is_recent and user.level >= level else _NeededProof(level, is_recent)


def _voluntary_level(request: AuthorizeRequest, user: SignedInUser) -> Level:
    """Return the preferred level of `acr_values` that the user can reach."""
    reachable = (level for level in request.levels if level <= user.reachable_level)
    return next(reachable, Level.AAL1)


def _is_recent(request: AuthorizeRequest, user: SignedInUser, now: datetime) -> bool:
    """Return True if the last proof is recent enough.

    A proof that was given since the request began is always recent enough. So `max_age=0` and
    `prompt=login` ask once, and not again when the person comes back.
    """
    if user.auth_time >= request.begun:
        return True
    if request.prompts & {Prompt.LOGIN, Prompt.SELECT_ACCOUNT}:
        return False
    age = request.max_age_secs
    return age is None or now - user.auth_time <= timedelta(seconds=age)


def _ask_for_proof(request: AuthorizeRequest, needed: _NeededProof) -> Decision:
    # Another account can be chosen only at the sign-in.
    is_choice = Prompt.SELECT_ACCOUNT in request.prompts
    return SignIn() if is_choice else StepUp(needed.level)


def _not_open(client: ClientConfiguration, user: SignedInUser) -> NotOpen:
    can_wake = user.reachable_level > Level.AAL1
    sleeping = user.sleeping_roles.intersection(client.allowed_roles)
    return NotOpen(can_step_up=can_wake and bool(sleeping))


def find_granted_scopes(
    scopes: Collection[str], *, client: ClientConfiguration, user: SignedInUser
) -> tuple[str, ...]:
    """Return the scopes that a token of this user can have now, in their order.

    A permission is granted only as far as an effective role of the user holds it; an administrator
    holds all.
    """
    return tuple(
        scope
        for scope in scopes
        if scope in client.scopes
        and (":" not in scope or user.holds_everything or scope in user.permissions)
    )


def find_consented_scopes(
    scopes: tuple[str, ...], *, client: ClientConfiguration, consent: Consent | None
) -> tuple[str, ...]:
    """Return the scopes that a user allows a client; the operator's own apps need no consent."""
    if client.first_party:
        return scopes
    allowed = consent.scopes if consent is not None else frozenset()
    return tuple(scope for scope in scopes if scope in allowed)


def _decide_consent(
    request: AuthorizeRequest,
    client: ClientConfiguration,
    consent: Consent | None,
    scopes: tuple[str, ...],
    *,
    is_confirmed: bool,
) -> Decision:
    """Return the last part of the decision.

    Another program may take an answer to a loopback port or a private scheme, so a person has to
    see such a request each time (RFC 8252 §8.6). A request that was seen still needs the consent,
    which may have been withdrawn since.
    """
    is_allowed = find_consented_scopes(scopes, client=client, consent=consent) == scopes
    is_asked = Prompt.CONSENT in request.prompts and not client.first_party
    if is_allowed and (is_confirmed or (not is_asked and request.is_silent_safe)):
        return Grant(scopes)
    if Prompt.NONE not in request.prompts:
        return AskConsent(scopes)
    code = OAuthCode.INTERACTION_REQUIRED if is_allowed else OAuthCode.CONSENT_REQUIRED
    return Refuse(code)
