"""The use cases behind authorize: who asks, the decision, and the code."""

from dataclasses import replace
from datetime import datetime

from authserve.auth.browser_sessions import BrowserSession
from authserve.clients.configuration import ClientConfiguration
from authserve.clients.failures import note_dropped_scopes, note_failure
from authserve.clients.refused_redirects import note_refused_redirect
from authserve.clients.registry import RegisteredClient, find_client
from authserve.core.actor import Actor, RequestInfo
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.database.transactions import transaction
from authserve.mfa.factors import find_factors
from authserve.oidc.authorize_request import AuthorizeRequest, parse_parameters, read_request
from authserve.oidc.codes import issue_code
from authserve.oidc.consents import find_consent
from authserve.oidc.errors import AuthorizationError, OAuthCode, UntrustedRequestError
from authserve.oidc.hints import Hint, read_hint
from authserve.oidc.policy import (
    Consent,
    Decision,
    Grant,
    LevelMissing,
    NotOpen,
    Refuse,
    SignedInUser,
    decide,
)
from authserve.sessions.policy import Authentication
from authserve.settings.model import SETTINGS
from authserve.web.continuation import Answer


@frozen(kw_only=True)
class Authorization:
    """A decided request.

    Args:
        decision: never `Refuse`, which is raised as an error.
        code: the authorization code if `decision` is a `Grant`, else None.
    """

    request: AuthorizeRequest
    client: RegisteredClient
    decision: Decision
    code: str | None = None


def authorize(
    query: str,
    *,
    begun: datetime,
    visitor: BrowserSession | None,
    origin: RequestInfo,
    answer: Answer | None = None,
) -> Authorization:
    """Decide an app's request; issue a code if it is granted.

    Args:
        query: of the request, as the browser sent it.
        begun: when the request arrived first.
        visitor: signed in at the level that the account needs; else None.
        origin: of the call, for the record of failures.
        answer: what the visitor has just answered to this request.

    Raises:
        UntrustedRequestError: no registered redirect URI is known, so no redirect is safe.
        AuthorizationError: a refusal for the app.
    """
    moment = now()
    try:
        found = _decide(query, begun, visitor, answer, moment)
    except AuthorizationError as error:
        if answer is not Answer.DENIED:
            client_id = parse_parameters(query).get("client_id")
            note_failure(client_id, error.code, request=origin, now=moment)
        raise
    _note_shortcomings(found, origin, moment)
    if isinstance(found.decision, Grant) and visitor is not None:
        code = _issue(found.request, found.decision, visitor, moment)
        return replace(found, code=code)
    return found


_PAGES_OF_REFUSAL = {
    NotOpen: OAuthCode.ACCESS_DENIED,
    LevelMissing: OAuthCode.UNMET_AUTHENTICATION_REQUIREMENTS,
}
"""Decisions that end at a page of ours, with the code for the app."""


def _note_shortcomings(found: Authorization, origin: RequestInfo, moment: datetime) -> None:
    """Record for the client's status that a user got no access, or less than it asked for."""
    client_id, code = found.client.client_id, _PAGES_OF_REFUSAL.get(type(found.decision))
    if code is not None:
        note_failure(client_id, code, request=origin, now=moment)
    elif isinstance(found.decision, Grant):
        note_dropped_scopes(client_id, found.request.dropped_scopes, request=origin, now=moment)


def review(query: str, *, begun: datetime, visitor: BrowserSession) -> Authorization:
    """Decide an app's request for the page that asks the person, without a code.

    Args:
        query, begun, visitor: see `authorize`.

    Raises:
        UntrustedRequestError, AuthorizationError: see `authorize`.
    """
    return _decide(query, begun, visitor, None, now())


def _decide(
    query: str,
    begun: datetime,
    visitor: BrowserSession | None,
    answer: Answer | None,
    moment: datetime,
) -> Authorization:
    client, request = _read(query, begun, moment)
    configuration = client.configuration
    if answer is Answer.DENIED:
        raise AuthorizationError(
            OAuthCode.ACCESS_DENIED, "The user has refused.", target=request.target
        )
    user = _user_of(visitor, request, configuration) if visitor is not None else None
    hint = _read_hint(request) if user is not None else None
    decision = decide(
        request,
        client=configuration,
        user=user,
        hinted_user=hint.user_id if hint is not None else None,
        consent=_find_consent(client, user),
        is_confirmed=answer is Answer.ALLOWED,
        now=moment,
    )
    if isinstance(decision, Refuse):
        raise _refusal(decision.code, request)
    return Authorization(request=request, client=client, decision=decision)


def _read(
    query: str, begun: datetime, moment: datetime
) -> tuple[RegisteredClient, AuthorizeRequest]:
    parameters = parse_parameters(query)
    client = find_client(parameters.get("client_id", ""))
    if client is None or not client.configuration.enabled:
        raise UntrustedRequestError("The client_id is missing, unknown or disabled.")
    try:
        request = read_request(
            parameters,
            client_id=client.client_id,
            client=client.configuration,
            issuer=SETTINGS.get().public_url,
            begun=begun,
        )
    except UntrustedRequestError as error:
        if error.received is not None:
            note_refused_redirect(client.client_id, error.received, now=moment)
        raise
    return client, request


def _find_consent(client: RegisteredClient, user: SignedInUser | None) -> Consent | None:
    if user is None or client.configuration.first_party:
        return None
    return find_consent(user.id, client.client_id)


def _read_hint(request: AuthorizeRequest) -> Hint | None:
    token = request.id_token_hint
    return read_hint(token, issuer=SETTINGS.get().public_url) if token is not None else None


def _user_of(
    visitor: BrowserSession, request: AuthorizeRequest, client: ClientConfiguration
) -> SignedInUser:
    actor, account = visitor.actor, visitor.account
    is_level_asked = bool(request.levels or client.min_acr or client.allowed_roles)
    return SignedInUser(
        id=account.id,
        level=actor.level,
        # Most requests ask for no level, so most need no statement for the factors.
        reachable_level=_find_reachable(actor) if is_level_asked else actor.level,
        auth_time=visitor.auth_time,
        roles=frozenset(actor.roles),
        sleeping_roles=frozenset(account.roles) - frozenset(actor.roles),
        permissions=actor.permissions,
        holds_everything=actor.holds_everything,
    )


def _find_reachable(actor: Actor) -> Level:
    """Return the highest level that the user has or can reach."""
    return max(actor.level, find_factors(actor.signed_in_user.id).reached_level)


def _issue(
    request: AuthorizeRequest, decision: Grant, visitor: BrowserSession, moment: datetime
) -> str:
    with transaction():
        return issue_code(
            request,
            scopes=decision.scopes,
            user_id=visitor.account.id,
            parent_id=visitor.cookie.session_id,
            authentication=Authentication(
                level=visitor.actor.level, amr=visitor.amr, auth_time=visitor.auth_time
            ),
            now=moment,
        )


_DESCRIPTIONS = {
    OAuthCode.LOGIN_REQUIRED: "The user has to sign in.",
    OAuthCode.CONSENT_REQUIRED: "The user has to allow this.",
    OAuthCode.INTERACTION_REQUIRED: "The user has to see which app asks.",
    OAuthCode.ACCESS_DENIED: "The app is not open to this user.",
    OAuthCode.UNMET_AUTHENTICATION_REQUIREMENTS: "The user has to sign in with another factor.",
}


def _refusal(code: OAuthCode, request: AuthorizeRequest) -> AuthorizationError:
    return AuthorizationError(code, _DESCRIPTIONS[code], target=request.target)
