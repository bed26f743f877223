"""The browser's way through an app's request: authorize, the steps of the person, and back.

No answer of a form of ours redirects to an app: `form-action 'self'` holds for redirects too. So a
form ends at `/oauth/continue`, a page that goes on to `/oauth/resume` by itself.
"""

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.clock import now
from authserve.core.levels import Level
from authserve.http.get_effects import changes_on_get
from authserve.http.json_body import FORM_TYPE
from authserve.http.limits import count_call
from authserve.http.middleware import refuse_late
from authserve.http.request_info import current_request_info, request_state
from authserve.oidc.authorize import Authorization, authorize
from authserve.oidc.authorize_request import MAX_QUERY_BYTES
from authserve.oidc.errors import (
    AuthorizationError,
    OAuthCode,
    OAuthError,
    ReturnTarget,
    UntrustedRequestError,
)
from authserve.oidc.forms import read_oauth_form
from authserve.oidc.policy import (
    AskConsent,
    Decision,
    Grant,
    LevelMissing,
    NotOpen,
    SignIn,
    StepUp,
)
from authserve.ratelimit.policy import AUTHORIZE
from authserve.settings.model import SETTINGS
from authserve.web.access import CONFIRM_PATH, CONSENT_PATH, LEVEL_FIELD, SIGN_IN_PATH
from authserve.web.browser_session import find_signed_in, remove_dead_session
from authserve.web.continuation import (
    FIELD,
    RESUME_PATH,
    Answer,
    Continuation,
    TargetKind,
    read_continuation,
    write_continuation,
)
from authserve.web.languages import mark, translate
from authserve.web.origin import redirect_to_public_name
from authserve.web.rendering import (
    CONTENT_SECURITY_POLICY,
    WITHOUT_REFERRER,
    add_query,
    leave_to,
    render,
    see_other,
)

blueprint = Blueprint("authorize", __name__)

AUTHORIZE_PATH = "/oauth/authorize"

_TITLE = mark("This app asked for something that cannot be done")

_ADVICE = mark(
    "Nothing was sent to it. Go back to the app and tell its operator what stands below."
)

_TOO_OLD = (
    mark("Go back to the app"),
    mark("You took longer than an hour. Open the app and start again."),
)

_FORM_POST_POLICY = CONTENT_SECURITY_POLICY.replace("form-action 'self'; ", "")
"""The page with the answer of `form_post` sends its form to the app."""


@blueprint.before_request
def check() -> Response | None:
    """Refuse a late request or one over the limit; redirect other loopback names in development."""
    refuse_late()
    if SETTINGS.get().ratelimit_enabled:
        count_call([AUTHORIZE], ())
    return None if request.method == "POST" else redirect_to_public_name()


blueprint.after_request(remove_dead_session)


@blueprint.get(AUTHORIZE_PATH)
@changes_on_get
def start() -> Response:
    """Answer an app's request (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1)."""
    return _answer(request.query_string.decode("latin-1"), begun=now())


@blueprint.post(AUTHORIZE_PATH)
def start_by_form() -> Response:
    """Turn an app's form into the same request by GET, with which browsers send their cookie."""
    if request.mimetype != FORM_TYPE:
        return _show_untrusted(UntrustedRequestError("The request is no form."))
    try:
        query = urlencode(read_oauth_form(request))
    except OAuthError:
        return _show_untrusted(UntrustedRequestError("The request has a parameter twice."))
    if len(query) > MAX_QUERY_BYTES:
        return _answer(query, begun=now())
    return see_other(f"{AUTHORIZE_PATH}?{query}", referrer_policy=WITHOUT_REFERRER)


@blueprint.get(RESUME_PATH)
@changes_on_get
def resume() -> Response:
    """Go on with an app's request after a step of the person; everything is decided anew."""
    found = read_continuation(request.args.get(FIELD, ""))
    if found is None or found.kind is not TargetKind.AUTHORIZE or found.begun is None:
        return _show_untrusted(UntrustedRequestError("The request is unknown."))
    if found.is_expired:
        title, advice = map(translate, _TOO_OLD)
        return _show_fault(title, advice, details=[])
    return _answer(found.target, begun=found.begun, answered=found)


def _answer(query: str, *, begun: datetime, answered: Continuation | None = None) -> Response:
    visitor = find_signed_in()
    answer = _answer_of(visitor, answered)
    try:
        done = authorize(
            query, begun=begun, visitor=visitor, answer=answer, origin=current_request_info()
        )
        if isinstance(done.decision, Grant):
            return _send(done.request.target, {"code": done.code or ""})
        target = Continuation(TargetKind.AUTHORIZE, query, begun=done.request.begun)
        return _answer_decision(done, done.decision, visitor, target)
    except UntrustedRequestError as error:
        return _show_untrusted(error)
    except AuthorizationError as error:
        return _refuse(error)


def _answer_of(visitor: BrowserSession | None, answered: Continuation | None) -> Answer | None:
    """Return the person's answer, if it was given in this browser's session."""
    if visitor is None or answered is None:
        return None
    is_own = answered.session_id == visitor.cookie.session_id
    return answered.answer if is_own else None


def _answer_decision(
    done: Authorization,
    decision: Decision,
    visitor: BrowserSession | None,
    target: Continuation,
) -> Response:
    """Return the redirect to the person's next step, or the page that says that there is none."""
    match decision:
        case SignIn():
            # A signed-in person is asked who they are, instead of being led on.
            switch = {"switch": ""} if visitor is not None else {}
            return _step(SIGN_IN_PATH, target, switch)
        case StepUp(level) if visitor is not None:
            return see_other(_confirm_link(level, target, visitor))
        case NotOpen(can_step_up) if visitor is not None:
            confirm = _confirm_link(Level.AAL2, target, visitor) if can_step_up else None
            return _show_closed(done, visitor, confirm)
        case LevelMissing() if visitor is not None:
            return _show_level_missing(done, visitor)
        case AskConsent():
            return _step(CONSENT_PATH, target, {})
    raise LookupError("a decision without an answer")


def _step(path: str, target: Continuation, query: Mapping[str, str]) -> Response:
    return see_other(f"{path}?{urlencode({**query, FIELD: _token(target)})}")


def _confirm_link(level: Level, target: Continuation, visitor: BrowserSession) -> str:
    """Return the path of the page of proofs, with a way back that is bound to the session."""
    bound = Continuation(
        TargetKind.AUTHORIZE,
        target.target,
        session_id=visitor.cookie.session_id,
        begun=target.begun,
    )
    asked = {} if level is Level.AAL1 else {LEVEL_FIELD: level.acr}
    return f"{CONFIRM_PATH}?{urlencode({**asked, FIELD: _token(bound)})}"


def _token(target: Continuation) -> str:
    token = write_continuation(target)
    if token is None:
        # A query within its limit fits, unless it is full of quotation marks.
        raise UntrustedRequestError("The request is too long.")
    return token


def _refuse(error: AuthorizationError) -> Response:
    request_state().refusal_code = error.code
    fields = {"error": error.code.value, "error_description": error.description}
    return _send(error.target, fields)


def _send(target: ReturnTarget, fields: Mapping[str, str]) -> Response:
    """Return the answer to the app, with its state and the issuer (RFC 9207)."""
    state = {"state": target.state} if target.state is not None else {}
    all_fields = {**fields, **state, "iss": SETTINGS.get().public_url}
    if target.response_mode == "form_post":
        return _send_form(target.redirect_uri, all_fields)
    return leave_to(target.redirect_uri, all_fields)


def _send_form(uri: str, fields: Mapping[str, str]) -> Response:
    """Return the page that sends the answer by a form (OAuth 2.0 Form Post Response Mode)."""
    return render(
        "send_answer.html",
        referrer_policy=WITHOUT_REFERRER,
        headers={"Content-Security-Policy": _FORM_POST_POLICY},
        address=uri,
        host=_host_of(uri),
        fields=fields,
    )


def _host_of(uri: str) -> str:
    return uri.partition("://")[2].partition("/")[0]


def _show_untrusted(error: UntrustedRequestError) -> Response:
    request_state().refusal_code = OAuthCode.INVALID_REQUEST
    received = [] if error.received is None else [f"redirect_uri: {error.received}"]
    details = [error.description, *received]
    return _show_fault(translate(_TITLE), translate(_ADVICE), details=details)


def _show_fault(title: str, advice: str, *, details: list[str]) -> Response:
    return render(
        "error.html",
        status=HTTPStatus.BAD_REQUEST,
        title=title,
        advice=advice,
        details=details,
        correlation_id=request_state().correlation_id,
    )


def _show_closed(done: Authorization, visitor: BrowserSession, confirm: str | None) -> Response:
    text = mark("Your account has no role that opens it. Ask the operator of this service.")
    asleep = mark("A role of yours opens it after you have confirmed with a second factor.")
    return _show_refusal(done, visitor, advice=text if confirm is None else asleep, confirm=confirm)


def _show_level_missing(done: Authorization, visitor: BrowserSession) -> Response:
    text = mark("It needs a second factor that your account does not have. Add one first.")
    return _show_refusal(done, visitor, advice=text, confirm=None)


def _show_refusal(
    done: Authorization, visitor: BrowserSession, *, advice: str, confirm: str | None
) -> Response:
    """Return the page that explains why an app stays closed; its way back reports it to the app."""
    target, app = done.request.target, done.client.configuration.name
    state = {"state": target.state} if target.state is not None else {}
    fields = {"error": OAuthCode.ACCESS_DENIED.value, **state, "iss": SETTINGS.get().public_url}
    account = visitor.account
    return render(
        "not_open.html",
        status=HTTPStatus.FORBIDDEN,
        referrer_policy=WITHOUT_REFERRER,
        title=translate(mark("%(app)s is not open to you"), app=app),
        advice=translate(advice),
        confirm=confirm,
        back=add_query(target.redirect_uri, fields),
        app=app,
        account=account.username or account.email,
    )
