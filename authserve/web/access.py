"""Access to the pages of signed-in people: a live session, a recent proof, and the form's token.

Each function either returns or ends the request with a redirect to the step that the person has to
take. A form that is refused so comes back empty, because no URL carries typed values.
"""

from typing import NoReturn
from urllib.parse import urlencode

from flask import Response, abort, current_app, request
from marshmallow import Schema
from werkzeug.exceptions import HTTPException

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.clock import now
from authserve.core.errors import StepUpRequiredError, ValidationFailedError
from authserve.core.levels import Level
from authserve.http.get_effects import has_effect_on_get
from authserve.settings.model import SETTINGS
from authserve.web.browser_session import find_signed_in, find_visitor, is_form_token
from authserve.web.continuation import (
    FIELD,
    Continuation,
    TargetKind,
    read_continuation,
    to_current_page,
    write_continuation,
)
from authserve.web.forms import SignedInForm, Submission, read_form
from authserve.web.origin import ForeignFormError
from authserve.web.rendering import see_other

LEVEL_FIELD = "level"
"""The name of the query parameter with the `acr` of a level."""

SIGN_IN_PATH = "/sign-in"
"""The page on which a person signs in; its view is in `pages`, above this package."""

SIGN_OUT_PATH = "/sign-out"
"""The page that asks a person whether to sign out; its view is in `pages` too."""

SIGNED_OUT_PATH = "/signed-out"
"""The page after that; its view is in `pages` too."""

CONFIRM_PATH = "/account/confirm"
"""The page on which a signed-in person gives a proof again; its view is in `pages` too."""

CONSENT_PATH = "/consent"
"""The page on which a person allows or refuses an app's request; its view is in `pages` too."""


def require_signed_in(*, back_to: str | None = None) -> BrowserSession:
    """Return the session of the browser, or redirect to the form to sign in, and back.

    Args:
        back_to: the endpoint of the page to come back to. None for the page that was asked for, or
            that shows the form that was sent.
    """
    session = find_signed_in()
    if session is None:
        redirect_to_sign_in(_way_back(back_to))
    return session


def require_fresh(
    session: BrowserSession, *, level: Level = Level.AAL1, back_to: str | None = None
) -> None:
    """Redirect to the page of proofs, and back, unless the last proof is within `FRESH_TTL`.

    The way back is bound to the session, so that a link of another person cannot choose it.

    Args:
        session: from `require_signed_in`.
        level: what the session must have reached.
        back_to: see `require_signed_in`.
    """
    is_high = session.actor.level >= level
    if is_high and session.is_fresh(now(), SETTINGS.get().fresh_ttl):
        return
    abort(see_other(_confirm_link(_way_back(back_to, session=session), level)))


def find_asked_level() -> Level:
    """Return the level that `require_fresh` asked for, from the query of the page of proofs."""
    asked = request.args.get(LEVEL_FIELD)
    return next((level for level in Level if level.acr == asked), Level.AAL1)


def find_bound(token: str, session: BrowserSession) -> str:
    """Return the token of a target if it is bound to a session, else empty text."""
    found = read_continuation(token)
    is_bound = found is not None and found.session_id == session.cookie.session_id
    return token if is_bound else ""


def read_signed_in_form(schema: Schema, session: BrowserSession) -> Submission:
    """Return the form in the body; see `read_form`.

    Args:
        schema: of a subclass of `SignedInForm`.
        session: from `require_signed_in`.

    Raises:
        ForeignFormError: the form has not the token of the session.
    """
    submission = read_form(schema)
    require_form_token(session, submission.given.get("token", ""))
    return submission


_BUTTON = SignedInForm()


def read_button(session: BrowserSession) -> None:
    """Check a form that has nothing but a button; it has no page that could show a fault.

    Args:
        session: from `require_signed_in`.

    Raises:
        ForeignFormError: see `read_signed_in_form`.
        ValidationFailedError: the form has fields that no page of ours sends.
    """
    require_no_fault(read_signed_in_form(_BUTTON, session))


def require_no_fault(submission: Submission) -> None:
    """Refuse a form whose page cannot show a fault, as one of hidden fields.

    Raises:
        ValidationFailedError: the fields are not those that a page of ours sends.
    """
    if submission.faults:
        raise ValidationFailedError(submission.faults)


def require_form_token(session: BrowserSession, token: str) -> None:
    """Refuse a form of a signed-in browser without the token of its session.

    Raises:
        ForeignFormError: the token is missing or another session's.
    """
    if not is_form_token(session, token):
        raise ForeignFormError


def redirect_to_sign_in(target: Continuation | None) -> NoReturn:
    """End the request with the redirect to the form to sign in.

    Args:
        target: where the person goes from there; None for the start.
    """
    abort(see_other(_link(SIGN_IN_PATH, target)))


def redirect_signed_out(_error: Exception) -> Response:
    """Return the redirect of a person whose session ended while their form was acted on."""
    return see_other(_link(SIGN_IN_PATH, _way_back(None)))


def redirect_to_proof(error: Exception) -> Response:
    """Return the redirect of a person whose session lacks a proof, as the use case found."""
    level = Level.AAL2 if isinstance(error, StepUpRequiredError) else Level.AAL1
    target = _way_back(None, session=find_visitor())
    return see_other(_confirm_link(target, level))


def _confirm_link(target: Continuation | None, level: Level) -> str:
    asked = {} if level is Level.AAL1 else {LEVEL_FIELD: level.acr}
    return _link(CONFIRM_PATH, target, **asked)


def _link(path: str, target: Continuation | None, **query: str) -> str:
    token = write_continuation(target) if target is not None else None
    if token:
        query[FIELD] = token
    return f"{path}?{urlencode(query)}" if query else path


def _way_back(back_to: str | None, *, session: BrowserSession | None = None) -> Continuation | None:
    """Return the target of a person who comes back, or None if no page shows the form."""
    session_id = session.cookie.session_id if session is not None else None
    if back_to is not None:
        return Continuation(TargetKind.PAGE, back_to, session_id=session_id)
    endpoint = _endpoint_of_page()
    return to_current_page(endpoint, session_id=session_id) if endpoint is not None else None


def _endpoint_of_page() -> str | None:
    """Return the endpoint that shows a page at the request's path, or None without one.

    One whose GET changes something is none: a person who came back to it would bring its answer,
    such as a provider's code, a second time.
    """
    adapter = current_app.create_url_adapter(request)
    assert adapter is not None
    try:
        endpoint, _arguments = adapter.match(method="GET")
    except HTTPException:
        return None
    view = current_app.view_functions[endpoint]
    return str(endpoint) if not has_effect_on_get(view) else None
