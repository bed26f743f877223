"""An authorization request: parsed, and checked against its client. Nothing here knows a user.

Before client and redirect URI are known, a fault is an `UntrustedRequestError`: a redirect would
make this service an open redirector (RFC 9700 §4.11.2).
"""

import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NoReturn
from urllib.parse import parse_qsl

from authserve.clients.configuration import ClientConfiguration
from authserve.clients.kinds import ClientKind
from authserve.clients.redirect_uris import is_registered, is_silent
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.oidc.errors import (
    AuthorizationError,
    OAuthCode,
    ReturnTarget,
    UntrustedRequestError,
)

MAX_QUERY_BYTES = 1_800
"""Limits the query, in bytes, so that the token that carries it fits a request line (design)."""

MAX_PARAMETERS = 50
"""Limits the parameters of a request, known or not (chosen: the specifications name some 30)."""

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
"""SHA-256 in base64url without padding (RFC 7636 §4.2)."""

_MAX_AGE = re.compile(r"[0-9]{1,9}")


class Prompt(StrEnum):
    """Values of `prompt` (OpenID Connect Core §3.1.2.1); other values have no effect."""

    NONE = "none"
    LOGIN = "login"
    CONSENT = "consent"
    SELECT_ACCOUNT = "select_account"


@frozen(kw_only=True)
class AuthorizeRequest:
    """A request that its client may make.

    Args:
        scopes: those asked for that the client may ask for, in their order.
        dropped_scopes: those asked for that it may not.
        code_challenge: of PKCE with S256; None only if the client may omit PKCE.
        max_age_secs: greatest accepted age of the sign-in, in seconds; None for any age.
        levels: those of `acr_values` that this service knows, the preferred one first.
        resource: the audience of the access token; None means this service's userinfo.
        begun: the time at which the request first arrived, in whole seconds.
    """

    client_id: str
    target: ReturnTarget
    scopes: tuple[str, ...]
    dropped_scopes: tuple[str, ...]
    nonce: str | None
    code_challenge: str | None
    prompts: frozenset[Prompt]
    max_age_secs: int | None
    login_hint: str | None
    id_token_hint: str | None
    levels: tuple[Level, ...]
    resource: str | None
    begun: datetime

    @property
    def is_silent_safe(self) -> bool:
        """True if only the app that registered the redirect URI can receive the answer."""
        return is_silent(self.target.redirect_uri)


def parse_parameters(query: str, *, max_bytes: int = MAX_QUERY_BYTES) -> dict[str, str]:
    """Return the parameters of a query.

    Raises:
        UntrustedRequestError: it is too long, not UTF-8, or has a parameter twice (RFC 6749 §3.1).
    """
    if len(query) > max_bytes:
        raise UntrustedRequestError(f"The request is longer than {max_bytes} bytes.")
    try:
        pairs = parse_qsl(
            query, keep_blank_values=True, errors="strict", max_num_fields=MAX_PARAMETERS
        )
    except ValueError as error:
        raise UntrustedRequestError("The request could not be read.") from error
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise UntrustedRequestError("The request has a parameter twice.")
    if any("\x00" in text for pair in pairs for text in pair):
        raise UntrustedRequestError("The request has a NUL character.")
    # An empty value counts as absent (RFC 6749 §3.1).
    return {name: value for name, value in pairs if value}


def read_request(
    parameters: Mapping[str, str],
    *,
    client_id: str,
    client: ClientConfiguration,
    issuer: str,
    begun: datetime,
) -> AuthorizeRequest:
    """Return the request of a known and enabled client.

    Args:
        parameters: from `parse_parameters`.
        issuer: this service's; as a `resource` it means userinfo.
        begun: see `AuthorizeRequest`.

    Raises:
        UntrustedRequestError: the redirect URI is missing, or not one of the client's.
        AuthorizationError: another fault.
    """
    target = _read_target(parameters, client)
    fail = _Failure(target)
    _refuse_unsupported(parameters, client, fail)
    allowed, dropped = _read_scopes(parameters, client, fail)
    return AuthorizeRequest(
        client_id=client_id,
        target=target,
        scopes=allowed,
        dropped_scopes=dropped,
        nonce=parameters.get("nonce"),
        code_challenge=_read_challenge(parameters, client, fail),
        prompts=_read_prompts(parameters, fail),
        max_age_secs=_read_max_age(parameters, fail),
        login_hint=parameters.get("login_hint"),
        id_token_hint=parameters.get("id_token_hint"),
        levels=_read_levels(parameters),
        resource=_read_resource(parameters, client, issuer, fail),
        begun=begun.replace(microsecond=0),
    )


@frozen()
class _Failure:
    """A refusal by redirect, once the place to redirect to is trusted."""

    target: ReturnTarget

    def __call__(self, code: OAuthCode, description: str) -> NoReturn:
        raise AuthorizationError(code, description, target=self.target)


def _read_target(parameters: Mapping[str, str], client: ClientConfiguration) -> ReturnTarget:
    uri = parameters.get("redirect_uri")
    if uri is None:
        raise UntrustedRequestError("The request has no redirect_uri.")
    if client.kind is ClientKind.MACHINE:
        raise UntrustedRequestError("This client signs no users in.")
    if not is_registered(uri, client.return_uris, kind=client.kind):
        description = "The redirect_uri is not registered for this client."
        raise UntrustedRequestError(description, received=uri)
    state = parameters.get("state")
    return ReturnTarget(redirect_uri=uri, state=state, response_mode=client.response_mode)


def _refuse_unsupported(
    parameters: Mapping[str, str], client: ClientConfiguration, fail: _Failure
) -> None:
    if "request" in parameters:
        fail(OAuthCode.REQUEST_NOT_SUPPORTED, "Request objects are not supported.")
    if "request_uri" in parameters:
        fail(OAuthCode.REQUEST_URI_NOT_SUPPORTED, "Request objects are not supported.")
    response_type = parameters.get("response_type")
    if response_type is None:
        fail(OAuthCode.INVALID_REQUEST, "The request has no response_type.")
    if response_type != "code":
        fail(OAuthCode.UNSUPPORTED_RESPONSE_TYPE, "The only response_type is code.")
    if parameters.get("response_mode", client.response_mode) != client.response_mode:
        mode = client.response_mode
        fail(OAuthCode.INVALID_REQUEST, f"The response_mode of this client is {mode}.")


def _read_challenge(
    parameters: Mapping[str, str], client: ClientConfiguration, fail: _Failure
) -> str | None:
    challenge = parameters.get("code_challenge")
    method = parameters.get("code_challenge_method")
    if challenge is None and method is None:
        if client.require_pkce:
            fail(OAuthCode.INVALID_REQUEST, "This client needs PKCE: send a code_challenge.")
        return None
    # Without a method, RFC 7636 §4.3 means `plain`, which protects nothing that is overheard.
    if method != "S256":
        fail(OAuthCode.INVALID_REQUEST, "The only code_challenge_method is S256.")
    if challenge is None or _CHALLENGE.fullmatch(challenge) is None:
        fail(OAuthCode.INVALID_REQUEST, "The code_challenge is not the digest of a verifier.")
    return challenge


def _read_scopes(
    parameters: Mapping[str, str], client: ClientConfiguration, fail: _Failure
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the scopes that the client may ask for, and the others that it asked for."""
    asked = tuple(dict.fromkeys(parameters.get("scope", "").split(" ")))
    allowed = tuple(scope for scope in asked if scope in client.scopes)
    if not allowed:
        fail(OAuthCode.INVALID_SCOPE, "The client may ask for none of these scopes.")
    return allowed, tuple(scope for scope in asked if scope and scope not in allowed)


def _read_prompts(parameters: Mapping[str, str], fail: _Failure) -> frozenset[Prompt]:
    asked = set(parameters.get("prompt", "").split(" "))
    if Prompt.NONE in asked and len(asked) > 1:
        fail(OAuthCode.INVALID_REQUEST, "prompt=none goes with no other prompt.")
    return frozenset(prompt for prompt in Prompt if prompt in asked)


def _read_max_age(parameters: Mapping[str, str], fail: _Failure) -> int | None:
    text = parameters.get("max_age")
    if text is None:
        return None
    if _MAX_AGE.fullmatch(text) is None:
        fail(OAuthCode.INVALID_REQUEST, "The max_age is no number of seconds.")
    return int(text)


def _read_levels(parameters: Mapping[str, str]) -> tuple[Level, ...]:
    by_name = {level.acr: level for level in Level}
    asked = parameters.get("acr_values", "").split(" ")
    return tuple(by_name[name] for name in asked if name in by_name)


def _read_resource(
    parameters: Mapping[str, str], client: ClientConfiguration, issuer: str, fail: _Failure
) -> str | None:
    resource = parameters.get("resource")
    if resource is None or resource == issuer:
        return None
    if resource not in client.resources:
        fail(OAuthCode.INVALID_TARGET, "The resource is not one of this client.")
    return resource
