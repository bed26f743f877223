"""Introspection by clients: the present state of a token (RFC 7662)."""

from collections.abc import Mapping
from typing import Any

from authserve.auth.introspection import (
    INACTIVE,
    KEY_INTROSPECTOR,
    SESSION_CLAIMS,
    TOKEN_CLAIMS,
    TokenFacts,
    find_token_facts,
)
from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.clients.kinds import AuthMethod
from authserve.clients.registry import RegisteredClient
from authserve.core.clock import now
from authserve.core.errors import UnauthenticatedError
from authserve.core.levels import Level
from authserve.oidc.access_tokens import AccessClaims, read_access_token_for_any
from authserve.oidc.api_callers import find_machine_scopes, find_own_grant, find_usable_scopes
from authserve.oidc.errors import invalid_client
from authserve.rbac.policy import Permission
from authserve.settings.model import SETTINGS


def introspect_for_client(token: str, *, credentials: ClientCredentials) -> Mapping[str, Any]:
    """Return the facts about a token that a client may know.

    A client may know its own tokens, and those for a service of its own. With the scope
    `tokens:introspect` it may know every access token and API key, with the user's name; without
    it, the name only if the token's own scopes include it.

    Returns:
        `INACTIVE` for every other token, good or not.

    Raises:
        OAuthError: `invalid_client`, also for a client that has no secret.
    """
    client = find_authenticated_client(credentials, now=now())
    if client is None or client.configuration.auth_method is not AuthMethod.SECRET:
        raise invalid_client()
    if Permission.TOKENS_INTROSPECT in client.configuration.scopes:
        facts = find_token_facts(token) or _find_key_facts(token)
        return INACTIVE if facts is None else facts.document
    facts = find_token_facts(token)
    if facts is None or not _is_concerned(client, facts):
        return INACTIVE
    return _without_name(facts.document)


def _find_key_facts(text: str) -> TokenFacts | None:
    introspector = KEY_INTROSPECTOR.find()
    return None if introspector is None else introspector(text)


def _is_concerned(client: RegisteredClient, facts: TokenFacts) -> bool:
    return facts.client_id == client.client_id or facts.audience in client.configuration.resources


def _without_name(document: Mapping[str, Any]) -> Mapping[str, Any]:
    if "profile" in str(document.get("scope", "")).split():
        return document
    return {name: value for name, value in document.items() if name != "username"}


def inspect_client_token(token: str) -> TokenFacts | None:
    """Return the facts about an access token of an app or a machine; None if it is not good now.

    Its scopes are those that it still has; without any it is not good.
    """
    settings, moment = SETTINGS.get(), now()
    try:
        claims = read_access_token_for_any(token, settings=settings, now=moment)
        if claims.session_id is None:
            scopes, of_user = find_machine_scopes(claims, settings, moment), {}
        else:
            grant = find_own_grant(claims, moment)
            scopes = find_usable_scopes(claims, grant, settings, moment)
            of_user = {
                **{name: claims.all[name] for name in SESSION_CLAIMS},
                "acr": Level(grant.row.aal).acr,
                # Nothing takes the place of a missing username: an app may not see the address.
                **({"username": grant.row.username} if grant.row.username else {}),
            }
    except UnauthenticatedError:
        return None
    return _make_facts(claims, scopes, of_user) if scopes else None


def _make_facts(
    claims: AccessClaims, scopes: frozenset[str], of_user: Mapping[str, Any]
) -> TokenFacts:
    document = {
        "active": True,
        **{name: claims.all[name] for name in TOKEN_CLAIMS},
        **of_user,
        "scope": " ".join(scope for scope in claims.scopes if scope in scopes),
        "token_type": "Bearer",
    }
    return TokenFacts(client_id=claims.client_id, audience=claims.audience, document=document)
