"""Events of sessions."""

from authserve.core.events import AuditAction, DomainEvent, Outcome


class SessionStarted(DomainEvent):
    """A sign-in; the details name the session and the factors (ASVS 16.3.1)."""

    action = AuditAction.SESSION_STARTED


class SignInFailed(DomainEvent):
    """A failed sign-in; the details hold the reason."""

    action = AuditAction.SESSION_SIGN_IN_FAILED
    outcome = Outcome.FAILURE


class SessionReauthenticated(DomainEvent):
    """A repeated proof of identity by a signed-in user."""

    action = AuditAction.SESSION_REAUTHENTICATED


class SessionRevoked(DomainEvent):
    """Revocation of sessions; the details hold the reason, and the session or their number."""

    action = AuditAction.SESSION_REVOKED


class SessionReuseDetected(DomainEvent):
    """Reuse of an old refresh token, which ended the session: one of its two holders stole it."""

    action = AuditAction.SESSION_REUSE_DETECTED
    outcome = Outcome.FAILURE
