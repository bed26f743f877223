"""Claims about a user for an app: those of scopes, and those that its client maps."""

from collections.abc import Collection
from typing import Any

from authserve.clients.claims import ClaimPlace, ClaimRule, ClaimSource
from authserve.oidc.queries import FoundGrant


def make_claims(grant: FoundGrant, scopes: Collection[str], place: ClaimPlace) -> dict[str, Any]:
    """Return the claims about the user of a grant, as they are now.

    Roles are those that have effect in the session. Lists are never null, since apps that expect a
    list fail on it.

    Args:
        scopes: those of the token.
        place: the document that will carry them.
    """
    claims: dict[str, Any] = {}
    configuration = grant.client.configuration
    is_lean = place is ClaimPlace.ID_TOKEN and configuration.id_token_claims == "lean"
    if place is not ClaimPlace.ACCESS_TOKEN and not is_lean:
        claims |= _claims_of_scopes(grant, scopes)
    if "groups" in scopes and not is_lean:
        claims["groups"] = _groups(grant)
    for rule in configuration.claims:
        value = _mapped(rule, grant) if place in rule.places else None
        if value is not None:
            claims[rule.name] = value
    return claims


def _claims_of_scopes(grant: FoundGrant, scopes: Collection[str]) -> dict[str, Any]:
    """Return the claims of OpenID Connect Core §5.4, without those that the account lacks.

    An address that is not verified is left out: apps take it for the person (design).
    """
    row, claims = grant.row, {}
    if "profile" in scopes:
        optional = {
            "name": row.display_name,
            "preferred_username": row.username,
            "locale": row.locale,
        }
        claims = {name: value for name, value in optional.items() if value is not None}
        claims["updated_at"] = int(row.updated_at.timestamp())
    if "email" in scopes and row.email_verified:
        claims |= {"email": row.email, "email_verified": True}
    return claims


def _groups(grant: FoundGrant) -> list[str]:
    prefix = grant.client.configuration.role_prefix
    roles = grant.found.actor.roles
    return [role.removeprefix(prefix) for role in roles if role.startswith(prefix)]


def _mapped(rule: ClaimRule, grant: FoundGrant) -> Any:
    """Return the value of a mapped claim, or None if the account has none."""
    row, actor = grant.row, grant.found.actor
    match rule.source:
        case ClaimSource.CONST:
            return rule.value
        case ClaimSource.ID:
            return str(row.id)
        case ClaimSource.USERNAME:
            return row.username
        case ClaimSource.DISPLAY_NAME:
            return row.display_name
        case ClaimSource.EMAIL:
            return row.email if row.email_verified else None
        case ClaimSource.PERMISSIONS:
            return sorted(actor.permissions)
        case ClaimSource.ROLES:
            return _mapped_role(rule, actor.roles)


def _mapped_role(rule: ClaimRule, roles: Collection[str]) -> str | list[str] | None:
    if not rule.role_values and rule.default is None:
        return list(roles)
    matches = (value for role, value in rule.role_values if role in roles)
    return next(matches, rule.default)
