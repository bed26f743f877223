"""Freshness of access tokens: how recent the proof of their user must be.

`authentication.py` has the decorators of views that ask for it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from authserve.core.actor import Actor
from authserve.core.clock import now
from authserve.core.errors import (
    InsufficientScopeError,
    ReauthenticationRequiredError,
    StepUpRequiredError,
)
from authserve.core.levels import Level, level_named
from authserve.http.callers import CallerKind, identify_caller
from authserve.http.openapi import refusals_of
from authserve.settings.model import SETTINGS


def require_fresh() -> None:
    """Refuse an access token that is not fresh (ASVS 7.5.1).

    The token's `fresh` claim is the time until which it is fresh, or False. A token from before its
    session rose is not fresh, because it proves less than the level that the session has now.

    Raises:
        ReauthenticationRequiredError: this time is over, the token was refreshed, or its session
            rose after it.
        InsufficientScopeError: the caller has an API key, which proves nothing recent.
    """
    if identify_caller().kind is CallerKind.API_KEY:
        raise InsufficientScopeError
    if not _is_fresh():
        raise reauthentication_required()


def _is_fresh() -> bool:
    """Return True if the token is fresh, or the caller is a machine, which cannot prove itself."""
    caller = identify_caller()
    if caller.kind is CallerKind.MACHINE:
        return True
    claims = caller.claims
    if level_named(claims.get("acr"), claims["amr"]) < caller.actor.level:
        return False
    return claims["fresh"] is not False and now().timestamp() < claims["fresh"]


def require_session_level(needed: Level, actor: Actor) -> None:
    """Refuse a session below a level; the demand for a step-up names the age of a fresh token.

    Raises:
        StepUpRequiredError: the session is below it.
    """
    if actor.level >= needed:
        return
    error = StepUpRequiredError(level=needed)
    if not _is_fresh():
        error.allow_age(max_age_secs=_max_age_secs())
    raise error


@contextmanager
def asking_for_freshness(view: Any) -> Iterator[None]:
    """Add the age allowed to a demand for a step-up, if the view needs a fresh token too.

    Otherwise a client would step up only to be asked for a fresh token then.
    """
    try:
        yield
    except StepUpRequiredError as error:
        if ReauthenticationRequiredError in refusals_of(view) and not _is_fresh():
            error.allow_age(max_age_secs=_max_age_secs())
        raise


def reauthentication_required() -> ReauthenticationRequiredError:
    """Return the error for a token that is not fresh, with the age allowed (RFC 9470 §3)."""
    return ReauthenticationRequiredError(max_age_secs=_max_age_secs())


def _max_age_secs() -> int:
    return int(SETTINGS.get().fresh_ttl.total_seconds())
