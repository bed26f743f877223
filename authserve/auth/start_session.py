"""Start of a session, and its first tokens; no other module creates one."""

from collections.abc import Sequence
from dataclasses import field
from datetime import datetime
from uuid import UUID

from authserve.auth.seen_devices import recognize_device
from authserve.auth.session_writes import insert_session
from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.clock import to_rfc3339
from authserve.core.crypto import digest, random_bytes
from authserve.core.errors import SessionRevokedError
from authserve.core.events import AuditAction
from authserve.core.frozen import frozen
from authserve.core.ids import new_id
from authserve.core.levels import Level
from authserve.database.emit import emit
from authserve.keys.store import SigningKey
from authserve.mfa.assurance import Enough
from authserve.sessions.app_sessions import insert_app_session
from authserve.sessions.policy import (
    AppTerms,
    SessionTerms,
    api_terms,
    browser_terms,
)
from authserve.sessions.renew import touch_browser_session
from authserve.sessions.revoke import end_oldest_sessions, end_oldest_sessions_of_app
from authserve.settings.model import SETTINGS, Mfa, Settings
from authserve.tokens.access import LiveSession
from authserve.tokens.device import Device
from authserve.tokens.refresh import Tokens, issue_tokens
from authserve.users.credentials import Credentials

LOW_CODES = 3
"""A sign-in that leaves so many recovery codes or fewer returns their number (design)."""

FAMILY_SECRET_BYTES = 16
"""Length of a session's family secret: 128 bits (ASVS 7.2.3)."""


@frozen()
class NewCookie:
    """The cookie that will hold a browser's session.

    Args:
        secret: 256 random bits; the session's row gets the digest.
        is_remembered: True if the user asked to be kept signed in.
    """

    secret: bytes = field(repr=False)
    is_remembered: bool


def start_session(
    account: Credentials,
    *,
    found: Enough,
    is_known_device: bool,
    request: RequestInfo,
    settings: Settings,
    now: datetime,
    cookie: NewCookie | None = None,
    provider: str | None = None,
    auth_time: datetime | None = None,
) -> LiveSession:
    """Start a session in the open transaction, which must hold the lock on the user's row.

    If the user has more than `MAX_SESSIONS_PER_USER` live sessions then, the oldest are ended. A
    device that is new to the account may cause a mail.

    Args:
        account: the owner of the session, as read before the sign-in; active, and so until the
            transaction ends.
        found: the assessment of the proofs that the user gave; nothing else opens a session.
        is_known_device: True if the sign-in carried a valid device token of the account.
        request: for the session's row and the audit events.
        settings: for the session's limits, and the mail.
        now: the time of the sign-in.
        cookie: makes it a browser's session; None makes it an API client's.
        provider: the slug of the provider that the user signed in by; None for another way.
        auth_time: of the user's last proof, if it was before the sign-in.
    """
    user, terms = account.ref, _terms(cookie, settings, now)
    is_known = recognize_device(
        account,
        is_known_device=is_known_device,
        sends_mail=settings.new_device_mail,
        request=request,
        now=now,
    )
    session, may_be_too_many = insert_session(
        new_id(),
        user.id,
        found=found,
        family_secret=random_bytes(FAMILY_SECRET_BYTES),
        request=request,
        terms=terms,
        now=now,
        auth_time=auth_time or now,
        provider=provider,
    )
    actor = Actor(user=user, session_id=session.id)
    if may_be_too_many:
        end_oldest_sessions(user, actor=actor, request=request, now=now)
    details = {
        "session_id": str(session.id),
        "kind": terms.kind,
        "known_device": is_known,
        "amr": list(session.amr),
        "acr": session.level.acr,
        **({"provider": provider} if provider is not None else {}),
    }
    emit(AuditAction.SESSION_STARTED, actor=actor, subject=user, request=request, details=details)
    return session


def start_app_session(
    user: UserRef,
    *,
    terms: AppTerms,
    request: RequestInfo,
    now: datetime,
) -> tuple[UUID, bytes]:
    """Start a session of an app in the open transaction, which must hold the user's row's lock.

    The row of the browser's session stays locked until the transaction ends: a simultaneous
    sign-out waits, and then ends both.

    Args:
        user: active, and so until the transaction ends.
        terms: name the app, the browser's session and the authentication; see
            `sessions.app_sessions.insert_app_session`.
        request: for the session's row and the audit event.

    Returns:
        The session's id, and the secret that its refresh tokens carry.

    Raises:
        SessionRevokedError: the browser's session has ended, or is another user's.
    """
    if not touch_browser_session(terms.parent_id, now=now):
        raise SessionRevokedError
    session_id, family_secret = new_id(), random_bytes(FAMILY_SECRET_BYTES)
    may_be_too_many = insert_app_session(
        session_id, user.id, family_secret=family_secret, terms=terms, request=request, now=now
    )
    if may_be_too_many is None:
        raise SessionRevokedError
    if may_be_too_many:
        end_oldest_sessions_of_app(user, terms.client_id, now=now)
    details = {
        "session_id": str(session_id),
        "kind": terms.kind.value,
        "client_id": terms.client_id,
    }
    actor = Actor(user=user, session_id=terms.parent_id)
    emit(AuditAction.OAUTH_AUTHORIZED, actor=actor, subject=user, request=request, details=details)
    return session_id, family_secret


def _terms(cookie: NewCookie | None, settings: Settings, now: datetime) -> SessionTerms:
    if cookie is None:
        return api_terms(settings, now)
    return browser_terms(
        digest(cookie.secret), is_remembered=cookie.is_remembered, settings=settings, now=now
    )


def issue_sign_in_tokens(
    session: LiveSession,
    *,
    key: SigningKey,
    device: Device,
    recovery_codes_left: int | None = None,
    recovery_codes: Sequence[str] | None = None,
) -> Tokens:
    """Return the tokens of a session that has just started, with what its user must know.

    Args:
        session: from `start_session`.
        key: from `KeyStore.signing_key`, called before the session was started.
        device: is known to the account from now on.
        recovery_codes_left: None if nothing was read; above `LOW_CODES` it is left out.
        recovery_codes: new ones, shown this once.
    """
    settings = SETTINGS.get()
    tokens = issue_tokens(
        session, key=key, fresh=True, settings=settings, now=session.auth_time, device=device
    )
    if recovery_codes is not None:
        tokens["recovery_codes"] = list(recovery_codes)
    elif recovery_codes_left is not None and recovery_codes_left <= LOW_CODES:
        tokens["recovery_codes_left"] = recovery_codes_left
    if settings.mfa is Mfa.REQUIRED and settings.mfa_enroll_by and session.level < Level.AAL2:
        # Past that time, no session below `AAL2` starts.
        tokens["mfa_enroll_by"] = to_rfc3339(settings.mfa_enroll_by)
    return tokens
