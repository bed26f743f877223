"""Redirects between the steps of a sign-in: to the next, to its end, or back to its start."""

from collections.abc import Iterable

from flask import Response
from marshmallow import fields

from authserve.auth.browser_sign_in import Browser, BrowserSignIn
from authserve.core.clock import now
from authserve.core.errors import AuthserveError
from authserve.http.request_info import current_request_info, request_state
from authserve.mfa.errors import (
    MfaEnrollmentRequiredError,
    MfaTokenExpiredError,
    MfaTokenInvalidError,
    SecondStepRequiredError,
)
from authserve.mfa.pending import find_device
from authserve.pages.blueprint import link_to
from authserve.settings.model import SETTINGS
from authserve.tokens.device import Device
from authserve.users.errors import AccountDisabledError
from authserve.web.browser_session import find_visitor, remember_device, set_session
from authserve.web.flows import FIELD, Flow, begin_flow, drop_flow, find_flow, hold_flow
from authserve.web.forms import PageForm, Submission
from authserve.web.languages import mark, translate, translate_plural
from authserve.web.notices import FIELD as NOTICE
from authserve.web.notices import open_notice, seal_notice
from authserve.web.rendering import see_other

ENDED = (MfaTokenInvalidError, MfaTokenExpiredError, AccountDisabledError)
"""Refusals after which a sign-in does not go on."""

REPORT_TRIES = "tries"
"""An offer of explanations: the page shows how many tries are left."""

_GONE = mark("This sign-in is over. Start again.")
_LATE = mark("It took too long. Start again.")

_ENDS = {
    MfaTokenInvalidError.code: _GONE,
    MfaTokenExpiredError.code: _LATE,
    AccountDisabledError.code: mark("This account is switched off."),
    # Of a feature that may be off, so its class is not imported.
    "provider_denied": mark("The sign-in at the other service was cancelled."),
}
"""The texts at the start of a sign-in that ended, by the code of the refusal."""

_ENDED_NOTICE = "sign-in-ended"


class FlowForm(PageForm):
    """The base of forms of a sign-in in progress: the name of its flow."""

    pending = fields.String(load_default="")


def find_submitted_flow(submission: Submission) -> Flow | None:
    """Return the flow that a form names, or None if the browser does not hold it.

    The device of the flow's account goes into the form's values, since limits count by it.
    """
    flow = find_flow(submission.given.get(FIELD, ""))
    if flow is not None and submission.values:
        device = find_device(flow.token, settings=SETTINGS.get(), now=now())
        submission.values = {**submission.values, "device": device}
    return flow


def first_device(found: Iterable[Device | None]) -> Device | None:
    """Return the first of the browser's devices that the account knows, or None."""
    return next((device for device in found if device is not None), None)


def report_tries(form: Submission, left: int) -> None:
    """Add the number of tries that are left to the text of a refused form."""
    text = translate_plural("%(count)d try is left.", "%(count)d tries are left.", left)
    if form.refusal:
        form.refusal = f"{form.refusal} {text}"
    for name, (fault, *_others) in form.faults.items():
        form.faults[name] = [f"{fault} {text}"]


def this_browser(*, is_remembered: bool) -> Browser:
    """Return the browser of the request, which signs in."""
    return Browser(
        former=find_visitor(), is_remembered=is_remembered, request=current_request_info()
    )


def complete(response: Response, done: BrowserSignIn, *, is_remembered: bool) -> Response:
    """Give the browser its new session and make its device known."""
    set_session(response, done.cookie, is_remembered=is_remembered)
    remember_device(response, done.device)
    return response


def complete_flow(response: Response, done: BrowserSignIn, flow: Flow) -> Response:
    """Complete a sign-in at the end of a flow, and remove its cookie."""
    drop_flow(response, flow.id)
    return complete(response, done, is_remembered=flow.is_remembered)


def redirect_to_next_step(
    error: SecondStepRequiredError, token: str, *, is_remembered: bool
) -> Response:
    """Return the redirect from a right first step to the second step, or to the set-up of a factor.

    Args:
        error: the refusal of the first step.
        token: of the person's target.
    """
    # Metrics and log lines count it as the API's refusal.
    request_state().refusal_code = error.code
    is_enrollment = isinstance(error, MfaEnrollmentRequiredError)
    endpoint = "pages.show_set_up" if is_enrollment else "pages.show_second_step"
    flow = begin_flow(error.mfa_token, is_remembered=is_remembered)
    response = see_other(link_to(endpoint, token, **{FIELD: flow.id}))
    hold_flow(response, flow)
    return response


def redirect_to_start(error: AuthserveError, token: str) -> Response:
    """Return the redirect of a sign-in that ended: to its start, which shows why.

    A browser that another form has signed in meanwhile goes on from there.

    Args:
        error: one that `_ENDS` has a text for.
        token: of the person's target.
    """
    request_state().refusal_code = error.code
    notice = seal_notice(_ENDED_NOTICE, code=error.code)
    return see_other(link_to("pages.show_sign_in", token, **{NOTICE: notice}))


def find_end() -> str:
    """Return the text about a sign-in that ended before this page; empty text without one."""
    notice = open_notice(_ENDED_NOTICE)
    return translate(_ENDS[notice["code"]]) if notice is not None else ""
