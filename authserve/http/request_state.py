"""The state that the hooks, the views and the error handlers of one request share."""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, cast

from flask import g


@dataclass(slots=True, kw_only=True)
class RequestState:
    """The state of one request, typed, and read from Flask's `g` at once.

    Attributes:
        correlation_id: in the log, the response and the audit trail.
        started_at: by `perf_counter`, in seconds.
        user_id: the caller's, once an access token was verified.
        authentication: see `authentication.authenticate`.
        json_body: the parsed body; None without one.
        refusal_code: of the problem that was answered.
        outcome: how the call succeeded, if it can succeed in several ways.
    """

    correlation_id: str
    started_at: float = field(default_factory=perf_counter)
    user_id: str | None = None
    authentication: Any = None
    json_body: dict[str, Any] | None = None
    refusal_code: str | None = None
    outcome: str | None = None


def begin_request(correlation_id: str) -> RequestState:
    """Make the state of a new request; an open application context may hold an older one."""
    g.request_state = state = RequestState(correlation_id=correlation_id)
    return state


def request_state() -> RequestState:
    """Return the state of the current request."""
    return cast(RequestState, g.request_state)
