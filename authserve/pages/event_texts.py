"""The words for each action of the audit trail, for the user whom the event is about or who acted.

A text is a whole sentence without its full stop, since it is the heading of its event.
"""

from collections.abc import Mapping

from authserve.audit.own_events import ActivityEvent
from authserve.core.events import AuditAction as A
from authserve.core.events import Outcome
from authserve.web.languages import mark, translate

TEXTS: Mapping[str, str] = {
    A.USER_REGISTERED: mark("Your account was created"),
    A.USER_REGISTRATION_REPEATED: mark("Your address was used to sign up again"),
    A.USER_CREATED: mark("Your account was created"),
    A.USER_PROFILE_CHANGED: mark("Your profile was changed"),
    A.USER_PASSWORD_CHANGED: mark("Your password was changed"),
    A.USER_PASSWORD_RESET: mark("Your password was set by a mailed link"),
    A.PASSWORD_RESET_REQUESTED: mark("A link to reset your password was asked for"),
    A.USER_PASSWORD_DISABLED: mark("Your password was switched off for unknown devices"),
    A.USER_EMAIL_VERIFIED: mark("Your address was verified"),
    A.USER_EMAIL_CHANGE_REQUESTED: mark("Another address was asked for"),
    A.USER_EMAIL_CHANGE_WITHDRAWN: mark("The change of your address was withdrawn"),
    A.USER_EMAIL_CHANGED: mark("Your address was changed"),
    A.USER_INVITATION_ACCEPTED: mark("Your invitation was accepted"),
    A.USER_ACTIVATED: mark("Your account was switched on"),
    A.USER_DEACTIVATED: mark("Your account was switched off"),
    A.USER_DELETED: mark("Your account was deleted"),
    A.USER_ROLES_CHANGED: mark("Your roles were changed"),
    A.USERS_IMPORTED: mark("Accounts were imported"),
    A.USERS_EXPORTED: mark("Accounts were exported"),
    A.USER_INVITED: mark("You were invited"),
    A.USER_PASSWORD_RESET_TRIGGERED: mark("A link to reset your password was sent to you"),
    A.USER_RESET_LINK_MADE: mark("A link to reset your password was made"),
    A.USER_UNLOCKED: mark("Your sign-in was unlocked"),
    A.MFA_ENABLED: mark("Your second factor was switched on"),
    A.MFA_DISABLED: mark("Your second factor was switched off"),
    A.MFA_RESET_REQUESTED: mark("A reset of your second factor was asked for"),
    A.MFA_RESET: mark("Your second factor was reset"),
    A.MFA_RESET_CANCELLED: mark("The reset of your second factor was cancelled"),
    A.FACTOR_ADDED: mark("A sign-in method was added"),
    A.FACTOR_REMOVED: mark("A sign-in method was removed"),
    A.RECOVERY_CODES_RENEWED: mark("New recovery codes were made"),
    A.ROLE_CREATED: mark("A role was created"),
    A.ROLE_CHANGED: mark("A role was changed"),
    A.ROLE_DELETED: mark("A role was deleted"),
    A.SESSION_STARTED: mark("You signed in"),
    A.SESSION_SIGN_IN_FAILED: mark("A sign-in failed"),
    A.SESSION_SIGN_IN_THROTTLED: mark("Sign-ins had to wait after too many wrong passwords"),
    A.SESSION_SECOND_FACTOR_FAILED: mark("A sign-in failed at its second step"),
    A.SESSION_SECOND_FACTOR_THROTTLED: mark("Sign-ins had to wait after too many wrong codes"),
    A.FACTOR_SWITCHED_OFF: mark("Codes of your app were switched off for unknown devices"),
    A.RECOVERY_CODES_USED: mark("A recovery code was used"),
    A.SESSION_REAUTHENTICATED: mark("You confirmed that it is you"),
    A.SESSION_REAUTHENTICATION_FAILED: mark("A confirmation that it is you failed"),
    A.SESSION_REVOKED: mark("Sessions were signed out"),
    A.SESSION_REUSE_DETECTED: mark("A session was ended, since an old token of it was used again"),
    A.ACTIVITY_DISOWNED: mark("You said that a sign-in was not yours"),
    A.FACTOR_FLAGGED: mark("A passkey was blocked, since it may be a copy"),
    A.FACTOR_UNFLAGGED: mark("A blocked passkey was allowed again"),
    A.CLIENT_CREATED: mark("An app was registered"),
    A.CLIENT_CHANGED: mark("An app was changed"),
    A.CLIENT_DELETED: mark("An app was deleted"),
    A.CLIENT_REVOKED: mark("The access of an app was ended"),
    A.CLIENT_SECRET_CREATED: mark("A secret of an app was made"),
    A.CLIENT_SECRET_REVOKED: mark("A secret of an app was deleted"),
    A.OAUTH_AUTHORIZED: mark("You signed in to an app"),
    A.OAUTH_DENIED: mark("You refused an app"),
    A.OAUTH_REFUSED: mark("A request of an app was refused"),
    A.OAUTH_CLIENT_AUTH_FAILED: mark("An app did not prove its identity"),
    A.OAUTH_CODE_REUSED: mark("A session was ended, since a code of its app was used again"),
    A.CONSENT_GRANTED: mark("You allowed an app to use your account"),
    A.CONSENT_REVOKED: mark("The access of an app was ended"),
    A.API_KEY_CREATED: mark("You made an API key"),
    A.API_KEY_REVOKED: mark("API keys were revoked"),
    A.PROVIDER_CREATED: mark("A sign-in provider was added"),
    A.PROVIDER_CHANGED: mark("A sign-in provider was changed"),
    A.PROVIDER_DELETED: mark("A sign-in provider was deleted"),
    A.IDENTITY_LINKED: mark("Sign-in by another provider was added"),
    A.IDENTITY_UNLINKED: mark("Sign-in by another provider was removed"),
    A.IDENTITY_SIGN_IN_REFUSED: mark("A sign-in by another provider was refused"),
    A.LOGOUT_DELIVERED: mark("An app was notified that sessions ended"),
    A.LOGOUT_FAILED: mark("An app could not be notified that sessions ended"),
    A.KEY_ROTATED: mark("The signing keys were replaced"),
    A.AUDIT_VERIFIED: mark("The audit trail was verified"),
}

_BY_DETAIL: Mapping[str, tuple[str, Mapping[object, str]]] = {
    A.SESSION_STARTED: (
        "known_device",
        {False: mark("You signed in from a new device")},
    ),
    A.SESSION_SIGN_IN_FAILED: (
        "reason",
        {"wrong_password": mark("A sign-in failed: the password was wrong")},
    ),
    A.SESSION_REVOKED: (
        "reason",
        {
            "logout": mark("You signed out"),
            "logout_all": mark("You signed out everywhere"),
            "evicted": mark("The oldest session was signed out, since there were too many"),
            "replaced": mark("A session was replaced by a new sign-in in the same browser"),
            "password_changed": mark("Other sessions were signed out after a new password"),
        },
    ),
    A.FACTOR_ADDED: (
        "factor",
        {
            "totp": mark("An authenticator app was added"),
            "passkey": mark("A passkey was added"),
        },
    ),
    A.FACTOR_REMOVED: (
        "factor",
        {
            "totp": mark("An authenticator app was removed"),
            "passkey": mark("A passkey was removed"),
        },
    ),
}
"""Texts that replace those of `TEXTS` for some values of one detail of the event."""

_ABOUT_OTHERS: Mapping[str, str] = {
    A.USER_CREATED: mark("You created an account"),
    A.USER_PROFILE_CHANGED: mark("You changed the profile of another user"),
    A.USER_EMAIL_CHANGED: mark("You changed the address of another user"),
    A.USER_EMAIL_VERIFIED: mark("You marked the address of another user as verified"),
    A.USER_ACTIVATED: mark("You switched the account of another user on"),
    A.USER_DEACTIVATED: mark("You switched the account of another user off"),
    A.USER_DELETED: mark("You deleted the account of another user"),
    A.USER_ROLES_CHANGED: mark("You changed the roles of another user"),
    A.USER_INVITED: mark("You invited a user"),
    A.USER_PASSWORD_RESET_TRIGGERED: mark("You had a link to reset a password sent to a user"),
    A.MFA_RESET_REQUESTED: mark("You asked for a reset of another user's second factor"),
    A.MFA_RESET: mark("You reset the second factor of another user"),
    A.SESSION_REVOKED: mark("You signed another user out"),
    A.API_KEY_REVOKED: mark("You revoked the API keys of another user"),
}

_ABOUT_ANOTHER = mark("You changed the account of another user")

_ICONS = {
    "session": "done",
    "password": "lock",
    "mfa": "shield",
    "factor": "shield",
    "identity": "globe",
    "recovery_codes": "shield",
    "role": "shield",
    "client": "code",
    "oauth": "code",
    "consent": "code",
    "api_key": "code",
    "logout": "code",
    "key": "lock",
}
"""Macros of `icons.html`, by the subject of an action."""


def describe_action(event: ActivityEvent) -> str:
    """Return what happened, in the language of the page."""
    if event.is_about_another:
        return translate(_ABOUT_OTHERS.get(event.action, _ABOUT_ANOTHER))
    name, texts = _BY_DETAIL.get(event.action, ("", {}))
    return translate(texts.get(event.details.get(name)) or TEXTS[event.action])


def find_event_icon(event: ActivityEvent) -> str:
    """Return the macro of `icons.html` that pictures an event."""
    if event.outcome == Outcome.FAILURE:
        return "cross"
    if event.action.startswith("user.email"):
        return "mail"
    if event.action.startswith("user.password"):
        return "lock"
    return _ICONS.get(event.action.partition(".")[0], "person")
