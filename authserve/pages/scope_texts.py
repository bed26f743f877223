"""The words for what an app or an API key may do, on the pages that ask for it and list them."""

from collections.abc import Iterable

from authserve.http.callers import ACCOUNT_SCOPE
from authserve.rbac.policy import Permission
from authserve.web.languages import mark, translate

_TEXTS = {
    "openid": mark("See which account is yours"),
    "profile": mark("See your name, your username and your language"),
    "email": mark("See your email address"),
    "groups": mark("See your roles"),
    ACCOUNT_SCOPE: mark("See and change your profile, and see your sessions and your activity"),
    Permission.USERS_READ: mark("See all accounts of this service"),
    Permission.USERS_WRITE: mark("Change all accounts of this service"),
    Permission.ROLES_READ: mark("See all roles of this service"),
    Permission.ROLES_WRITE: mark("Change all roles of this service"),
    Permission.SESSIONS_READ: mark("See the sessions of all accounts"),
    Permission.SESSIONS_WRITE: mark("End the sessions of all accounts"),
    Permission.AUDIT_READ: mark("See the audit trail of this service"),
    Permission.TOKENS_INTROSPECT: mark("See whose tokens are valid"),
    Permission.CLIENTS_READ: mark("See the apps of this service"),
    Permission.CLIENTS_WRITE: mark("Change the apps of this service"),
    Permission.PROVIDERS_READ: mark("See the sign-in providers of this service"),
    Permission.PROVIDERS_WRITE: mark("Change the sign-in providers of this service"),
}

_WITHOUT_TEXT = "offline_access"
"""The scope that has a place of its own. `clients` is not imported for its name, since a service
with API keys alone does not load that package."""

_OTHER = mark("Use your permission %(permission)s")


def describe_scopes(scopes: Iterable[str]) -> list[str]:
    """Return a sentence for each scope; the right to go on without the person has its own place.

    Args:
        scopes: names; a permission of another service is named as it is.
    """
    return [_describe(scope) for scope in scopes if scope != _WITHOUT_TEXT]


def _describe(scope: str) -> str:
    text = _TEXTS.get(scope)
    return translate(text) if text is not None else translate(_OTHER, permission=scope)
