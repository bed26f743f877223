"""Authorization codes: issued to a browser, redeemed once by the app."""

from collections.abc import Iterator
from dataclasses import field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, insert, update
from sqlalchemy.orm import InstrumentedAttribute

from authserve.auth.start_session import start_app_session
from authserve.clients.configuration import OFFLINE_SCOPE, ClientConfiguration
from authserve.clients.registry import RegisteredClient
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import digest, is_equal, random_bytes
from authserve.core.errors import SessionRevokedError
from authserve.core.events import AuditAction, Outcome
from authserve.core.frozen import frozen
from authserve.database.emit import emit
from authserve.database.statements import table_of
from authserve.database.transactions import delete_in_slices, execute, transaction
from authserve.oidc.access_tokens import is_audience_of
from authserve.oidc.authorize_request import AuthorizeRequest
from authserve.oidc.errors import OAuthCode, OAuthError, invalid_grant
from authserve.oidc.grants import narrow_scopes, require_usable
from authserve.oidc.models import AuthorizationCode
from authserve.oidc.queries import FoundCode, find_grant, lock_user_of_code
from authserve.oidc.tokens import Issue, TokenAnswer, get_token_keys, issue_tokens
from authserve.sessions.policy import AppTerms, Authentication, RevokeReason
from authserve.sessions.revoke import end_session_if_live
from authserve.settings.model import SETTINGS, Settings

CODE_BYTES = 32
"""256 bits; RFC 6749 §10.10 demands at most one chance in 2^128 of a guess."""

CODE_TTL = timedelta(seconds=60)
"""Lifetime of a code (ASVS 10.4.3 allows ten minutes; an app redeems it at once)."""

REPLAY_GRACE = timedelta(seconds=10)
"""Time after the first use in which a second one ends nothing: apps repeat a call whose answer was
lost, and some send it twice (design; a deviation from ASVS 10.4.2)."""

KEPT = timedelta(days=1)
"""Time for which a used or expired code is kept, to recognize a later use (design)."""

_CODES = table_of(AuthorizationCode)


def issue_code(
    request: AuthorizeRequest,
    *,
    scopes: tuple[str, ...],
    user_id: UUID,
    parent_id: UUID,
    authentication: Authentication,
    now: datetime,
) -> str:
    """Store a code in the open transaction, and return its text.

    Args:
        request: decided with a grant.
        scopes: those granted.
        parent_id: the browser's session.
        authentication: by which the request was decided. The app's session starts with it, because
            a later step-up is not what the user had proven (OpenID Connect Core §2, `auth_time`).
    """
    code = random_bytes(CODE_BYTES).hex()
    values = {
        "digest": digest(code.encode()),
        "client_id": request.client_id,
        "user_id": user_id,
        "parent_id": parent_id,
        "redirect_uri": request.target.redirect_uri,
        "code_challenge": request.code_challenge,
        "scope": " ".join(scopes),
        "resource": request.resource,
        "nonce": request.nonce,
        "aal": authentication.level,
        "amr": list(authentication.amr),
        "auth_time": authentication.auth_time,
        "created_at": now,
        "expires_at": now + CODE_TTL,
    }
    execute(insert(_CODES), values)
    return code


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


def choose_audience(
    granted: str | None, asked: str | None, *, client: ClientConfiguration, settings: Settings
) -> str:
    """Return the one audience of an access token (RFC 8707 §2.2).

    Args:
        granted: the resource of the grant; None for the issuer.
        asked: what the app names now; None for what is granted.
        client: of the grant, which may have lost the resource since.

    Raises:
        OAuthError: `invalid_target`, if the app asks for another than the grant's or the issuer, or
            may not have it any more.
    """
    issuer = settings.public_url
    if asked is not None and asked not in (granted or issuer, issuer):
        raise OAuthError(OAuthCode.INVALID_TARGET, "The resource is not that of the grant.")
    audience = asked or granted or issuer
    if not is_audience_of(client, audience, settings=settings):
        raise OAuthError(OAuthCode.INVALID_TARGET, "The resource is not one of this client.")
    return audience


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


def delete_unused_codes(client_id: str) -> None:
    """Delete the codes that a client has not redeemed yet, in the open transaction."""
    is_unused = (_CODES.c.client_id == client_id) & _CODES.c.used_at.is_(None)
    execute(delete(_CODES).where(is_unused))


def purge_dead_codes() -> Iterator[int]:
    """Delete the codes that expired more than `KEPT` ago, slice by slice; yield their numbers."""
    key: InstrumentedAttribute[bytes] = AuthorizationCode.digest
    yield from delete_in_slices(AuthorizationCode, key, _CODES.c.expires_at < now() - KEPT)
