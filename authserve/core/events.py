"""Domain events: they let a feature notify a higher layer without importing it.

A use case emits an event inside its transaction (`database/emit.py`). The handlers that `app.py`
registered run at once, in the same transaction. So an audit record, for example, commits together
with the change that it records, or not at all.
"""

from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import Any

from authserve.core.actor import Actor, RequestInfo, UserRef
from authserve.core.container import ListSlot
from authserve.core.frozen import frozen


class AuditAction(StrEnum):
    """The closed list of actions in the audit trail, published to clients."""

    USER_REGISTERED = "user.registered"
    USER_REGISTRATION_REPEATED = "user.registration_repeated"
    USER_CREATED = "user.created"
    USER_PROFILE_CHANGED = "user.profile_changed"
    USER_PASSWORD_CHANGED = "user.password_changed"
    USER_PASSWORD_RESET = "user.password_reset"
    PASSWORD_RESET_REQUESTED = "password.reset_requested"
    USER_PASSWORD_DISABLED = "user.password_disabled"
    USER_EMAIL_VERIFIED = "user.email_verified"
    USER_EMAIL_CHANGE_REQUESTED = "user.email_change_requested"
    USER_EMAIL_CHANGE_WITHDRAWN = "user.email_change_withdrawn"
    USER_EMAIL_CHANGED = "user.email_changed"
    USER_INVITATION_ACCEPTED = "user.invitation_accepted"
    USER_ACTIVATED = "user.activated"
    USER_DEACTIVATED = "user.deactivated"
    USER_DELETED = "user.deleted"
    USER_ROLES_CHANGED = "user.roles_changed"
    USERS_IMPORTED = "users.imported"
    USERS_EXPORTED = "users.exported"
    USER_INVITED = "user.invited"
    USER_PASSWORD_RESET_TRIGGERED = "user.password_reset_triggered"
    USER_RESET_LINK_MADE = "user.reset_link_made"
    USER_UNLOCKED = "user.unlocked"
    MFA_ENABLED = "mfa.enabled"
    MFA_DISABLED = "mfa.disabled"
    MFA_RESET_REQUESTED = "mfa.reset_requested"
    MFA_RESET = "mfa.reset"
    MFA_RESET_CANCELLED = "mfa.reset_cancelled"
    FACTOR_ADDED = "factor.added"
    FACTOR_REMOVED = "factor.removed"
    RECOVERY_CODES_RENEWED = "recovery_codes.renewed"
    ROLE_CREATED = "role.created"
    ROLE_CHANGED = "role.changed"
    ROLE_DELETED = "role.deleted"
    SESSION_STARTED = "session.started"
    SESSION_SIGN_IN_FAILED = "session.sign_in_failed"
    SESSION_SIGN_IN_THROTTLED = "session.sign_in_throttled"
    SESSION_SECOND_FACTOR_FAILED = "session.second_factor_failed"
    SESSION_SECOND_FACTOR_THROTTLED = "session.second_factor_throttled"
    FACTOR_SWITCHED_OFF = "factor.switched_off"
    RECOVERY_CODES_USED = "recovery_codes.used"
    SESSION_REAUTHENTICATED = "session.reauthenticated"
    SESSION_REAUTHENTICATION_FAILED = "session.reauthentication_failed"
    SESSION_REVOKED = "session.revoked"
    SESSION_REUSE_DETECTED = "session.reuse_detected"
    ACTIVITY_DISOWNED = "activity.disowned"
    FACTOR_FLAGGED = "factor.flagged"
    FACTOR_UNFLAGGED = "factor.unflagged"
    CLIENT_CREATED = "client.created"
    CLIENT_CHANGED = "client.changed"
    CLIENT_DELETED = "client.deleted"
    CLIENT_REVOKED = "client.revoked"
    CLIENT_SECRET_CREATED = "client.secret_created"
    CLIENT_SECRET_REVOKED = "client.secret_revoked"
    OAUTH_AUTHORIZED = "oauth.authorized"
    OAUTH_DENIED = "oauth.denied"
    OAUTH_CODE_REUSED = "oauth.code_reused"
    CONSENT_GRANTED = "consent.granted"
    CONSENT_REVOKED = "consent.revoked"
    API_KEY_CREATED = "api_key.created"
    API_KEY_REVOKED = "api_key.revoked"
    OAUTH_REFUSED = "oauth.refused"
    OAUTH_CLIENT_AUTH_FAILED = "oauth.client_auth_failed"
    PROVIDER_CREATED = "provider.created"
    PROVIDER_CHANGED = "provider.changed"
    PROVIDER_DELETED = "provider.deleted"
    IDENTITY_LINKED = "identity.linked"
    IDENTITY_UNLINKED = "identity.unlinked"
    IDENTITY_SIGN_IN_REFUSED = "identity.sign_in_refused"
    LOGOUT_DELIVERED = "logout.delivered"
    LOGOUT_FAILED = "logout.failed"
    KEY_ROTATED = "key.rotated"
    AUDIT_VERIFIED = "audit.verified"


class Outcome(StrEnum):
    """The result of an attempt."""

    SUCCESS = "success"
    FAILURE = "failure"


@frozen(kw_only=True)
class DomainEvent:
    """A fact that happened; `docs/audit.md` explains each action.

    Args:
        actor: the actor of the call; a visitor if no user is signed in.
        request: the origin of the call.
        subject: the affected user, if one is known.
        details: small facts for the audit trail; never a secret, an address or a name.
    """

    action: AuditAction
    outcome: Outcome
    actor: Actor
    request: RequestInfo
    subject: UserRef | None
    details: Mapping[str, Any]


Handler = Callable[[DomainEvent], None]
Subscription = tuple[Collection[AuditAction], Handler]
"""Actions, and a handler that is called for each event of one of them."""

SUBSCRIPTIONS = ListSlot[Subscription]("subscriptions")
