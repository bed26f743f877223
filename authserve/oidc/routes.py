"""The calls of apps: tokens, revocation, userinfo and discovery, with errors of OAuth's form."""

import json
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Response, request
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.clients.authentication import ClientCredentials, find_authenticated_client
from authserve.clients.failures import note_failure
from authserve.clients.kinds import ClientKind
from authserve.core.clock import now
from authserve.core.errors import (
    PayloadTooLargeError,
    RetryableError,
    UnauthenticatedError,
    UnavailableError,
)
from authserve.database.refusals import is_refusal
from authserve.http.callers import bearer_token
from authserve.http.errors import refusal_headers
from authserve.http.limits import count_call
from authserve.http.middleware import refuse_late
from authserve.http.request_info import current_request_info, request_state
from authserve.oidc.discovery import MAX_AGE_SECS, make_discovery
from authserve.oidc.errors import OAuthCode, OAuthError, invalid_client
from authserve.oidc.forms import read_credentials, read_oauth_form
from authserve.oidc.introspect import introspect_for_client
from authserve.oidc.machines import issue_machine_token
from authserve.oidc.redeem import PresentedCode, redeem_code
from authserve.oidc.refresh import refresh_grant
from authserve.oidc.revoke import revoke_token
from authserve.oidc.tokens import TokenAnswer
from authserve.oidc.userinfo import find_userinfo
from authserve.ratelimit.policy import (
    CLIENT_FAILURES,
    FAILURES_OF_CLIENT,
    PUBLIC_TOKENS,
    REFUSED_TOKENS,
    Limit,
)
from authserve.settings.model import SETTINGS

blueprint = Blueprint("oidc", __name__)

CORS_PATHS = frozenset(
    {"/oauth/token", "/oauth/revoke", "/oauth/userinfo", "/.well-known/jwks.json"}
)
"""The paths that pages of apps in browsers may call (OAuth 2.0 for Browser-Based Apps §6.3), and
the keys with which they verify ID tokens."""

_BEARER_CODES = (
    OAuthCode.INVALID_TOKEN,
    OAuthCode.INSUFFICIENT_SCOPE,
    OAuthCode.INSUFFICIENT_USER_AUTHENTICATION,
)
"""Codes of userinfo, which RFC 6750 §3.1 and RFC 9470 §3 want in a challenge too."""

_STATUSES = {
    OAuthCode.INVALID_CLIENT: HTTPStatus.UNAUTHORIZED,
    OAuthCode.INVALID_TOKEN: HTTPStatus.UNAUTHORIZED,
    OAuthCode.INSUFFICIENT_USER_AUTHENTICATION: HTTPStatus.UNAUTHORIZED,
    OAuthCode.INSUFFICIENT_SCOPE: HTTPStatus.FORBIDDEN,
}
"""Statuses of codes; 400 for all others (RFC 6749 §5.2)."""


@blueprint.before_request
def refuse_late_call() -> None:
    """Refuse a call that has waited for a thread for too long; discovery answers from memory."""
    if request.path.startswith("/oauth/"):
        refuse_late()


@blueprint.get("/.well-known/openid-configuration")
@blueprint.get("/.well-known/oauth-authorization-server")
def discover() -> Response:
    """Return the provider's metadata, from memory, to pages of every origin."""
    document = make_discovery(SETTINGS.get())
    headers = {
        "Cache-Control": f"public, max-age={MAX_AGE_SECS}",
        "Access-Control-Allow-Origin": "*",
    }
    return _answer(document, headers=headers)


@blueprint.post("/oauth/token")
def exchange() -> Response:
    """Exchange a code, a refresh token or a machine's own credentials for tokens."""
    fields = read_oauth_form(request)
    grant_type = fields.get("grant_type")
    if grant_type is None:
        raise OAuthError(OAuthCode.INVALID_REQUEST, "The request has no grant_type.")
    answer = GRANTS.get(grant_type, _refuse_grant_type)
    request_state().grant_type = grant_type
    return _answer(dict(answer(fields)))


@blueprint.post("/oauth/revoke")
def revoke() -> Response:
    """End the grant of the client's token; succeed without effect for any other (RFC 7009 §2.2)."""
    fields = read_oauth_form(request)
    revoke_token(
        _require(fields, "token"),
        credentials=_read_credentials(fields),
        request=current_request_info(),
    )
    return _answer({})


@blueprint.post("/oauth/introspect")
def introspect() -> Response:
    """Return the present state of a token to a client that may know it (RFC 7662)."""
    fields = read_oauth_form(request)
    token = _require(fields, "token")
    return _answer(introspect_for_client(token, credentials=_read_credentials(fields)))


def _redeem(fields: Mapping[str, str]) -> TokenAnswer:
    client = find_authenticated_client(_read_credentials(fields), now=now())
    if client is None:
        raise invalid_client()
    if client.configuration.kind is ClientKind.MACHINE:
        raise OAuthError(OAuthCode.UNAUTHORIZED_CLIENT, "This client signs no users in.")
    presented = PresentedCode(
        code=_require(fields, "code"),
        verifier=fields.get("code_verifier"),
        redirect_uri=fields.get("redirect_uri"),
        resource=fields.get("resource"),
    )
    return redeem_code(presented, client=client, request=current_request_info())


def _refresh(fields: Mapping[str, str]) -> TokenAnswer:
    return refresh_grant(
        _require(fields, "refresh_token"),
        credentials=_read_credentials(fields),
        scope=fields.get("scope"),
        resource=fields.get("resource"),
        request=current_request_info(),
    )


def _issue_to_machine(fields: Mapping[str, str]) -> TokenAnswer:
    client = find_authenticated_client(_read_credentials(fields), now=now())
    if client is None:
        raise invalid_client()
    return issue_machine_token(client, scope=fields.get("scope"), resource=fields.get("resource"))


def _refuse_grant_type(_fields: Mapping[str, str]) -> TokenAnswer:
    known = ", ".join(GRANTS)
    raise OAuthError(OAuthCode.UNSUPPORTED_GRANT_TYPE, f"The grant types are: {known}.")


GRANTS: Mapping[str, Callable[[Mapping[str, str]], TokenAnswer]] = {
    "authorization_code": _redeem,
    "refresh_token": _refresh,
    "client_credentials": _issue_to_machine,
}
"""The use of each `grant_type`."""


def _require(fields: Mapping[str, str], name: str) -> str:
    value = fields.get(name)
    if value is None:
        raise OAuthError(OAuthCode.INVALID_REQUEST, f"The request has no {name}.")
    return value


@blueprint.get("/oauth/userinfo")
@blueprint.post("/oauth/userinfo")
def userinfo() -> Response:
    """Return the claims about the user of the access token in the header."""
    try:
        token = bearer_token()
    except UnauthenticatedError as error:
        raise OAuthError(OAuthCode.INVALID_TOKEN, "Send one access token.") from error
    if token is None:
        # Without credentials, the challenge carries no error (RFC 6750 §3.1).
        return _answer({}, status=HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
    return _answer(find_userinfo(token))


def _answer(
    document: Mapping[str, Any],
    *,
    status: int = HTTPStatus.OK,
    headers: Mapping[str, str] | None = None,
) -> Response:
    all_headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(
        json.dumps(document), status=status, headers=all_headers, mimetype="application/json"
    )


def _read_credentials(fields: Mapping[str, str]) -> ClientCredentials:
    """Return what the client presents; count the calls of those that present no secret."""
    credentials = read_credentials(request, fields)
    request_state().presented_client_id = credentials.client_id
    if credentials.secret is None:
        _count(PUBLIC_TOKENS)
    return credentials


def _count(*limits: Limit) -> None:
    """Count a call, also by the client that it names.

    Raises:
        RateLimitedError: it exceeds a limit.
    """
    if SETTINGS.get().ratelimit_enabled:
        count_call(limits, ({"client_id": request_state().presented_client_id},))


_COUNTED_REFUSALS = {
    OAuthCode.INVALID_CLIENT: (CLIENT_FAILURES, FAILURES_OF_CLIENT),
    OAuthCode.INVALID_TOKEN: (REFUSED_TOKENS,),
}
"""Limits by refusals alone: calls that succeed are not counted."""


@blueprint.errorhandler(OAuthError)
def refuse(error: OAuthError) -> Response:
    """Return a refusal in the form of RFC 6749 §5.2."""
    try:
        _count(*_COUNTED_REFUSALS.get(error.code, ()))
        _note(error.code)
    except RetryableError as exceeded:
        return refuse_for_now(exceeded)
    except (DBAPIError, PoolTimeoutError) as outage:
        return refuse_for_database(outage)
    headers = {}
    if error.code is OAuthCode.INVALID_CLIENT:
        headers["WWW-Authenticate"] = 'Basic realm="OAuth"'
    elif error.code in _BEARER_CODES:
        headers["WWW-Authenticate"] = f'Bearer error="{error.code}"'
    return _refusal(error.code, error.description, headers=headers)


def _note(code: OAuthCode) -> None:
    """Record a refusal for the status of the client that the call names."""
    client_id = request_state().presented_client_id
    note_failure(client_id, code, request=current_request_info(), now=now())


def _refusal(
    code: OAuthCode,
    description: str,
    *,
    status: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    request_state().refusal_code = code
    found = _STATUSES.get(code, HTTPStatus.BAD_REQUEST) if status is None else status
    document = {"error": code, "error_description": description}
    return _answer(document, status=found, headers=headers)


@blueprint.errorhandler(PayloadTooLargeError)
def refuse_large(error: PayloadTooLargeError) -> Response:
    """Return the refusal of a body that is too large."""
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    return _refusal(OAuthCode.INVALID_REQUEST, error.detail, status=status)


@blueprint.errorhandler(RetryableError)
def refuse_for_now(error: RetryableError) -> Response:
    """Return the refusal of a call that may succeed later."""
    is_outage = isinstance(error, UnavailableError)
    status = HTTPStatus.SERVICE_UNAVAILABLE if is_outage else HTTPStatus.TOO_MANY_REQUESTS
    return _refusal(
        OAuthCode.TEMPORARILY_UNAVAILABLE,
        error.detail,
        status=status,
        headers=refusal_headers(error),
    )


@blueprint.errorhandler(DBAPIError)
@blueprint.errorhandler(PoolTimeoutError)
def refuse_for_database(error: Exception) -> Response:
    """Return 503 while the database cannot serve; raise the error of a faulty statement again."""
    if isinstance(error, DBAPIError) and not is_refusal(error):
        raise error
    return refuse_for_now(UnavailableError())
