"""The pages at the host of a proxied application: the return from the sign-in, and the sign-out."""

from http import HTTPStatus

from flask import Response, request

from authserve.clients.origins import CALLBACK_PATH
from authserve.core.clock import now
from authserve.forwardauth.blueprint import blueprint, request_origin
from authserve.forwardauth.check import check_request, get_client_of_origin, sign_out
from authserve.forwardauth.cookies import (
    hold_app_cookie,
    hold_flow_secret,
    read_app_cookie,
    read_flow_secret,
)
from authserve.forwardauth.errors import SignInStateError
from authserve.forwardauth.policy import CALLBACK_PREFIX, Verdict
from authserve.forwardauth.sign_in import StartedSignIn, finish_sign_in, read_state
from authserve.http.get_effects import changes_on_get
from authserve.http.limits import count_call
from authserve.http.request_info import current_request_info, request_state
from authserve.ratelimit.policy import PAGE_POSTS
from authserve.settings.model import SETTINGS
from authserve.web.languages import mark, translate
from authserve.web.origin import ForeignFormError, read_form_origin
from authserve.web.rendering import WITHOUT_REFERRER, leave_to, render, see_other

SIGN_OUT_PATH = f"{CALLBACK_PREFIX}sign-out"

_LOOP = mark(
    "Your browser did not send back the cookie that this page had given it. Allow cookies for this "
    "address, then open the page again."
)
_UNKNOWN = mark("This sign-in began somewhere else, or too long ago. Open the page again.")
_REFUSED = mark("You were not let in. Open the page again, or ask the operator of this service.")


@blueprint.get(CALLBACK_PATH)
@changes_on_get
def finish() -> Response:
    """Let a person in who comes back from authorize (RFC 6749 §4.1.2)."""
    origin, moment = request_origin(), now()
    state = read_state(request.args.get("state", ""), now=moment)
    if "code" not in request.args:
        return _show_fault(_REFUSED, details=[request.args.get("error", "")[:100]])
    cookie = read_app_cookie(request.cookies, origin)
    if check_request(origin, cookie, now=moment).verdict is Verdict.ALLOWED:
        # The page was loaded again, or another tab came first; a second use would end the session.
        return see_other(state.path, referrer_policy=WITHOUT_REFERRER)
    done = finish_sign_in(
        get_client_of_origin(origin),
        origin=origin,
        state=state,
        code=request.args["code"],
        secret=read_flow_secret(request.cookies, origin),
        request=current_request_info(),
    )
    if isinstance(done, StartedSignIn):
        response = leave_to(done.location, {})
        hold_flow_secret(response, origin, done.secret)
        return response
    response = see_other(done.path, referrer_policy=WITHOUT_REFERRER)
    hold_app_cookie(response, origin, done.cookie)
    return response


@blueprint.errorhandler(SignInStateError)
def show_failed_sign_in(error: SignInStateError) -> Response:
    """Return the page that says why a sign-in could not be finished."""
    return _show_fault(_LOOP if error.is_loop else _UNKNOWN, details=[])


def _show_fault(advice: str, *, details: list[str]) -> Response:
    return render(
        "error.html",
        status=HTTPStatus.BAD_REQUEST,
        referrer_policy=WITHOUT_REFERRER,
        has_switch=False,
        title=translate(mark("You are not signed in here")),
        advice=translate(advice),
        details=[line for line in details if line],
        correlation_id=request_state().correlation_id,
    )


@blueprint.get(SIGN_OUT_PATH)
def show_sign_out() -> Response:
    """Ask whether to sign out, or show that the browser is signed out; a GET changes nothing."""
    origin = request_origin()
    cookie = read_app_cookie(request.cookies, origin)
    session = check_request(origin, cookie, now=now()).session
    return render(
        "proxied_sign_out.html",
        has_switch=False,
        account=session.found.account if session is not None else None,
        app=get_client_of_origin(origin).configuration.name,
        host=SETTINGS.get().public_url.partition("://")[2],
        action=SIGN_OUT_PATH,
    )


@blueprint.post(SIGN_OUT_PATH)
def sign_out_of_app() -> Response:
    """End the browser's session, and with it those of all applications that it opened.

    Raises:
        ForeignFormError: the form did not come from the application's own host.
    """
    origin = request_origin()
    if not read_form_origin().is_own(origin):
        raise ForeignFormError
    if SETTINGS.get().ratelimit_enabled:
        count_call([PAGE_POSTS], ())
    cookie = read_app_cookie(request.cookies, origin)
    session = check_request(origin, cookie, now=now()).session
    if session is not None:
        sign_out(session, request=current_request_info())
    response = see_other(SIGN_OUT_PATH)
    hold_app_cookie(response, origin, None)
    return response
