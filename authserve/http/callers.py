"""The caller of a request: read from its bearer token, as one of a few kinds.

`authentication.py` has the decorators of views, which decide what each kind of caller may call.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import Any
from uuid import UUID

from flask import request

from authserve.core.actor import Actor
from authserve.core.container import ListSlot
from authserve.core.errors import (
    AuthenticationRequiredError,
    InvalidTokenError,
    MalformedRequestError,
)
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.http.request_info import request_state

MAX_TOKEN_LENGTH = 7_168
"""Limits a token, in characters; longer ones are refused before any work. A token that names 50
roles of 64 letters has 5,122 (measured), and servers accept 8 KiB for the whole header
(ASVS 4.2.5)."""

ACCOUNT_SCOPE = "account"
"""The scope that opens four calls on the user's own account to apps and API keys (design)."""


@frozen(kw_only=True)
class Account:
    """The caller's account, as the token check read it, with the names of all its roles."""

    id: UUID
    email: str
    email_verified: bool
    username: str | None
    display_name: str | None
    locale: str | None
    is_active: bool
    roles: tuple[str, ...]
    mfa_enabled: bool
    created_at: datetime
    updated_at: datetime
    last_login_at: datetime | None


class CallerKind(Enum):
    """The kinds of callers: they differ in what they may do besides their permissions.

    Only a `USER` may call what has no permission of its own, since such a call is about the
    caller's account; an `APP` and an `API_KEY` may do so as far as a scope says. Freshness is asked
    of the sessions of a `USER` and an `APP`. A `MACHINE` has no session, so it is never asked; an
    `API_KEY` is always refused then.
    """

    USER = "user"
    """A user who is signed in to this service."""
    APP = "app"
    """An app that a user has let act for them (RFC 6749 §1.1)."""
    MACHINE = "machine"
    """A client that acts in its own name (RFC 6749 §4.4)."""
    API_KEY = "api_key"
    """A program with a key that a user has made."""


@frozen(kw_only=True)
class Authentication:
    """The caller that a valid bearer token identifies.

    Args:
        actor: the caller, with the current permissions; those of an app, a machine and an API key
            are within their scopes.
        found_account: the account of the caller's user; None for a machine.
        kind: the kind of caller.
        claims: the token's own claims; empty for an API key.
        need: the least level that a session of this account needs.
        scopes: what an app or an API key may call besides its permissions.
    """

    actor: Actor
    found_account: Account | None
    kind: CallerKind = CallerKind.USER
    claims: Mapping[str, Any]
    need: Level = Level.AAL1
    scopes: frozenset[str] = frozenset()

    @property
    def account(self) -> Account:
        """The account, for views that only users' tokens open.

        Raises:
            LookupError: the caller is a machine.
        """
        if self.found_account is None:
            raise LookupError("a machine has no account")
        return self.found_account


Authenticator = Callable[[str], Authentication]
"""A function that returns the caller of a bearer token. It raises `InvalidTokenError` for a token
of another kind, so that the next authenticator is asked."""

AUTHENTICATORS = ListSlot[Authenticator]("authenticators")
"""The authenticators, in the order in which they are asked; features add theirs."""


def bearer_token() -> str | None:
    """Return the token of the `Authorization` header, or None without the header.

    Raises:
        AuthenticationRequiredError: the scheme is not Bearer.
        InvalidTokenError: not exactly one token after the scheme, or one over `MAX_TOKEN_LENGTH`.
    """
    header: str | None = request.environ.get("HTTP_AUTHORIZATION")
    if header is None:
        return None
    scheme, _, token = header.strip().partition(" ")
    if scheme.lower() != "bearer":  # Case-insensitive: RFC 9110 §11.1.
        raise AuthenticationRequiredError
    token = token.strip()
    if not token or " " in token or len(token) > MAX_TOKEN_LENGTH:
        raise InvalidTokenError
    return token


def one_token(in_body: str | None, *, if_missing: str | None = None) -> str:
    """Return the token of a call that accepts it in the body or as bearer.

    Args:
        if_missing: the problem's detail without a token; None asks for an access token.

    Raises:
        AuthenticationRequiredError: there is no token.
        MalformedRequestError: there are two, and it is unclear which one is meant.
    """
    token = bearer_token()
    if token is not None and in_body is not None:
        raise MalformedRequestError("Send the token in the body or as bearer, not both.")
    if token is None and in_body is None:
        raise AuthenticationRequiredError(if_missing)
    return token or in_body or ""


def identify_caller() -> Authentication:
    """Return the caller of any kind; further calls in the same request return the same result.

    Views call it through a decorator of `authentication.py`, which decides about the kind.

    Raises:
        UnauthenticatedError: there is no token, or it is not valid (any more).
    """
    state = request_state()
    found: Authentication | None = state.authentication
    if found is None:
        token = bearer_token()
        if token is None:
            raise AuthenticationRequiredError
        state.authentication = found = _authenticate(token)
        actor = found.actor
        state.user_id = str(actor.user.id) if actor.user is not None else None
        state.client_id = actor.client_id
    return found


def _authenticate(token: str) -> Authentication:
    for authenticator in AUTHENTICATORS.get():
        try:
            return authenticator(token)
        except InvalidTokenError:
            continue
    raise InvalidTokenError
