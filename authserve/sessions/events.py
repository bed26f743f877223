"""What happens to sessions."""

from authserve.core.events import AuditAction, DomainEvent, Outcome


class SessionStarted(DomainEvent):
    """Somebody signed in; the details name the session and the factors (ASVS 16.3.1)."""

    action = AuditAction.SESSION_STARTED


class SignInFailed(DomainEvent):
    """Somebody could not sign in; the details hold the reason."""

    action = AuditAction.SESSION_SIGN_IN_FAILED
    outcome = Outcome.FAILURE


class SessionReauthenticated(DomainEvent):
    """Somebody signed in has proven once more who they are."""

    action = AuditAction.SESSION_REAUTHENTICATED


class SessionRevoked(DomainEvent):
    """Sessions ended before their time; the details say why, and which or how many."""

    action = AuditAction.SESSION_REVOKED


class SessionReuseDetected(DomainEvent):
    """An old refresh token came back, so the session ended: one of its two holders is a thief."""

    action = AuditAction.SESSION_REUSE_DETECTED
    outcome = Outcome.FAILURE
