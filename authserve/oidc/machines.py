"""Tokens of machines: a service calls another in its own name (RFC 6749 §4.4)."""

from datetime import datetime, timedelta

from authserve.clients.configuration import ClientConfiguration
from authserve.clients.kinds import ClientKind
from authserve.clients.registry import RegisteredClient
from authserve.core.clock import now
from authserve.keys.store import KEY_STORE
from authserve.oidc.access_tokens import ACCESS, is_audience_of
from authserve.oidc.errors import OAuthCode, OAuthError
from authserve.oidc.tokens import TokenAnswer, sign_for_others
from authserve.settings.model import SETTINGS, Settings
from authserve.tokens.signing import timed_claims


def issue_machine_token(
    client: RegisteredClient, *, scope: str | None, resource: str | None
) -> TokenAnswer:
    """Return an access token of a machine; it has no session and no refresh token.

    Args:
        client: authenticated.
        scope: requested scopes; None for all that the client has.
        resource: the audience (RFC 8707); None for the client's only one.

    Raises:
        OAuthError: `unauthorized_client` for another kind of client; `invalid_scope` if it asks for
            a scope that it has not, since no user could see what is left out; `invalid_target`.
        SigningKeyUnavailableError: no token can be signed.
    """
    configuration = client.configuration
    if configuration.kind is not ClientKind.MACHINE:
        raise OAuthError(OAuthCode.UNAUTHORIZED_CLIENT, "This client acts for its users alone.")
    scopes = _choose_scopes(configuration, scope)
    settings = SETTINGS.get()
    audience = _choose_audience(configuration, resource, settings)
    moment = now()
    times = timed_claims(_issue_time(client, moment), moment + configuration.access_ttl)
    claims = {
        **times,
        "iss": settings.public_url,
        "aud": audience,
        # Never a user's: the id of a client is no UUID (RFC 9700 §4.15).
        "sub": client.client_id,
        "client_id": client.client_id,
        "scope": " ".join(scopes),
        "type": ACCESS.name,
    }
    token = sign_for_others(claims, KEY_STORE.get().signing_key(), ACCESS.header_type)
    return {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": times["exp"] - times["iat"],
        "scope": claims["scope"],
    }


def _issue_time(client: RegisteredClient, now: datetime) -> datetime:
    """Return the present time, but at least a second after the client's tokens were revoked.

    Tokens carry whole seconds. One that is issued in the second of the revocation would be refused.
    """
    valid_from = client.tokens_valid_from
    return now if valid_from is None else max(now, valid_from + timedelta(seconds=1))


def _choose_scopes(client: ClientConfiguration, asked: str | None) -> tuple[str, ...]:
    wanted = client.scopes if asked is None else tuple(dict.fromkeys(asked.split(" ")))
    if not wanted or not set(wanted) <= set(client.scopes):
        raise OAuthError(OAuthCode.INVALID_SCOPE, "The client has not all of these scopes.")
    return wanted


def _choose_audience(client: ClientConfiguration, asked: str | None, settings: Settings) -> str:
    only = client.resources[0] if len(client.resources) == 1 else None
    audience = asked or only
    if audience not in client.resources or not is_audience_of(client, audience, settings=settings):
        raise OAuthError(OAuthCode.INVALID_TARGET, "Name one resource of this client.")
    return audience
