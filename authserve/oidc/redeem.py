"""Redemption of authorization codes: once, by the app that began (RFC 6749 §4.1.3)."""

from dataclasses import field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import update

from authserve.auth.start_session import start_app_session
from authserve.clients.configuration import OFFLINE_SCOPE
from authserve.clients.registry import RegisteredClient
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import digest, is_equal
from authserve.core.errors import SessionRevokedError
from authserve.core.events import AuditAction, Outcome
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import execute, transaction
from authserve.oidc.errors import invalid_grant
from authserve.oidc.grants import choose_audience, narrow_scopes, require_usable
from authserve.oidc.models import AuthorizationCode
from authserve.oidc.queries import FoundCode, find_grant, lock_user_of_code
from authserve.oidc.tokens import Issue, TokenAnswer, get_token_keys, issue_tokens
from authserve.sessions.policy import AppTerms, RevokeReason
from authserve.sessions.revoke import end_session_if_live
from authserve.settings.model import SETTINGS, Settings

REPLAY_GRACE = timedelta(seconds=10)
"""Time after the first use in which a second one ends nothing: apps repeat a call whose answer was
lost, and some send it twice (design; a deviation from ASVS 10.4.2)."""

_CODES = table_of(AuthorizationCode)


@frozen(kw_only=True)
class PresentedCode:
    """The fields that an app presents for a code.

    Args:
        verifier: of PKCE.
        redirect_uri: may be left out with PKCE (OAuth 2.1 §4.1.3).
        resource: the audience asked for; None for that of the request.
    """

    code: str = field(repr=False)
    verifier: str | None = field(repr=False)
    redirect_uri: str | None
    resource: str | None


def redeem_code(
    presented: PresentedCode, *, client: RegisteredClient, request: RequestInfo
) -> TokenAnswer:
    """Exchange a code for the first tokens of a grant.

    A second use is refused. From `REPLAY_GRACE` after the first on it also ends the session that
    the first made, if all else is right: a stranger with a spent code, but without the verifier,
    ends nothing.

    Args:
        client: authenticated.

    Raises:
        OAuthError: `invalid_grant`, or `invalid_target` for another resource.
        SigningKeyUnavailableError: no token could be signed; nothing was spent.
    """
    settings, moment = SETTINGS.get(), now()
    keys = get_token_keys(client.configuration)
    issue = _redeem(presented, client, None, request, moment)
    return issue_tokens(issue, keys=keys, settings=settings, now=moment)


def redeem_for_cookie(
    presented: PresentedCode,
    *,
    client: RegisteredClient,
    cookie_digest: bytes,
    request: RequestInfo,
) -> UUID:
    """Exchange a code for a session of a proxied application, and return the session's id.

    Everything else is as in `redeem_code`.

    Args:
        client: of kind `proxy`; this service itself presents the code.
        cookie_digest: of the secret that the cookie will carry.

    Raises:
        OAuthError: `invalid_grant`.
    """
    issue = _redeem(presented, client, cookie_digest, request, now())
    session_id: UUID = issue.grant.row.session_id
    return session_id


def _redeem(
    presented: PresentedCode,
    client: RegisteredClient,
    cookie_digest: bytes | None,
    request: RequestInfo,
    moment: datetime,
) -> Issue:
    settings = SETTINGS.get()
    with transaction(durable=True):
        code = lock_user_of_code(presented.code, client.client_id, now=moment)
        if code is None or not _is_proven(code, presented) or code.expires_at <= moment:
            raise invalid_grant()
        audience = choose_audience(
            code.resource, presented.resource, client=client.configuration, settings=settings
        )
        is_replay = code.used_at is not None
        if is_replay:
            _end_after_replay(code, client, request)
        else:
            terms = _terms(code, client, cookie_digest, moment)
            issue = _start(code, presented, terms, audience, request, settings, moment)
    if is_replay:
        raise invalid_grant()
    return issue


def _is_proven(code: FoundCode, presented: PresentedCode) -> bool:
    """Return True if the app is the one that began: by PKCE, and by the address of its request."""
    if code.code_challenge is None:
        # A verifier without a challenge means that a challenge was stripped (RFC 9700 §2.1.1).
        return presented.verifier is None and presented.redirect_uri == code.redirect_uri
    if presented.redirect_uri not in (None, code.redirect_uri) or presented.verifier is None:
        return False
    return is_equal(make_challenge(presented.verifier).encode(), code.code_challenge.encode())


def make_challenge(verifier: str) -> str:
    """Return the challenge of a verifier by S256 (RFC 7636 §4.2)."""
    return encode_base64url(digest(verifier.encode()))


def _start(
    code: FoundCode,
    presented: PresentedCode,
    terms: AppTerms,
    audience: str,
    request: RequestInfo,
    settings: Settings,
    moment: datetime,
) -> Issue:
    """Spend the code and start the session, in the open transaction; a refusal undoes both.

    Raises:
        OAuthError: `invalid_grant`: user, browser's session, roles or level are not what they were.
    """
    if not code.is_user_active:
        raise invalid_grant()
    try:
        session_id, family_secret = start_app_session(
            code.user, terms=terms, request=request, now=moment
        )
    except SessionRevokedError as error:
        raise invalid_grant() from error
    if not _spend(presented.code, session_id, code.shared_now):
        raise invalid_grant()
    grant = find_grant(session_id, now=moment)
    if grant is None:
        raise invalid_grant()
    require_usable(grant, settings=settings, now=moment)
    return Issue(
        grant=grant,
        scopes=narrow_scopes(grant),
        family_secret=family_secret,
        generation=0,
        ends_at=terms.idle_expires_at,
        audience=audience,
        nonce=code.nonce,
        is_new=True,
    )


def _terms(
    code: FoundCode, client: RegisteredClient, cookie_digest: bytes | None, moment: datetime
) -> AppTerms:
    lifetimes, is_offline = client.configuration.lifetimes, OFFLINE_SCOPE in code.scopes
    absolute = lifetimes.absolute_offline if is_offline else lifetimes.absolute
    expires_at = moment + absolute
    return AppTerms(
        client_id=client.client_id,
        parent_id=code.parent_id,
        scopes=code.scopes,
        resource=code.resource,
        is_offline=is_offline,
        expires_at=expires_at,
        idle_expires_at=min(moment + lifetimes.idle, expires_at),
        cookie_digest=cookie_digest,
        authentication=code.authentication,
    )


def _spend(code: str, session_id: UUID, moment: datetime) -> bool:
    """Mark a code as used; exactly one of several simultaneous callers gets True."""
    is_unused = (_CODES.c.digest == digest(code.encode())) & _CODES.c.used_at.is_(None)
    values = {"used_at": moment, "session_id": session_id}
    return execute(update(_CODES).where(is_unused).values(values)).rowcount == 1


def _end_after_replay(code: FoundCode, client: RegisteredClient, request: RequestInfo) -> None:
    """End the session that a code made, if the second use comes late (RFC 9700 §4.2.4)."""
    if code.used_at is None or code.session_id is None:
        return
    if code.shared_now - code.used_at <= REPLAY_GRACE:
        return
    is_ended = end_session_if_live(
        code.user,
        code.session_id,
        RevokeReason.REUSE_DETECTED,
        actor=VISITOR,
        request=request,
    )
    # Once: a code that is sent again and again must not fill the trail.
    if is_ended:
        emit(
            AuditAction.OAUTH_CODE_REUSED,
            outcome=Outcome.FAILURE,
            actor=VISITOR,
            subject=code.user,
            request=request,
            details={"client_id": client.client_id, "session_id": str(code.session_id)},
        )
