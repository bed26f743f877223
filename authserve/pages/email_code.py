"""Signing in with a mailed code; the pages exist only with `EMAIL_SIGN_IN=on`."""

from functools import partial
from typing import Any

from flask import Response, request

from authserve.auth.browser_sign_in import sign_in_browser_with_email_code
from authserve.auth.email_sign_in import (
    find_requester,
    request_email_code,
)
from authserve.auth.errors import WrongCodeError
from authserve.auth.known_devices import find_device_of_mailbox, find_requesters_device
from authserve.auth.schemas import EmailCodeSchema
from authserve.http.limits import limited, noting_limits
from authserve.http.request_info import current_request_info
from authserve.mfa.email_codes import EMAIL_CODE_DIGITS
from authserve.mfa.errors import MfaEnrollmentRequiredError, MfaTokenInvalidError
from authserve.mfa.sign_in_codes import SignInRequest
from authserve.pages.blueprint import (
    abort_404_unless,
    blueprint,
    link_to,
    page,
    query_continuation,
    redirect_to_target,
)
from authserve.pages.factor_fields import TypedCode
from authserve.pages.sign_in import WAIT
from authserve.pages.sign_in_steps import (
    FlowForm,
    complete_flow,
    first_device,
    redirect_to_next_step,
    redirect_to_start,
    this_browser,
)
from authserve.ratelimit.errors import RateLimitedError, TooManyAttemptsError
from authserve.ratelimit.policy import (
    EMAIL_CODE,
    EMAIL_CODE_MAILS_A_MINUTE,
    EMAIL_CODE_MAILS_AN_HOUR,
    SIGN_IN,
)
from authserve.settings.model import SETTINGS
from authserve.web.browser_session import device_tokens
from authserve.web.flows import FIELD, Flow, begin_flow, drop_flow, find_flow, hold_flow
from authserve.web.forms import Explanation, PageForm, Submission, read_form, submit
from authserve.web.languages import mark
from authserve.web.notices import FIELD as NOTICE
from authserve.web.notices import open_notice, seal_notice
from authserve.web.rendering import see_other


class AddressForm(PageForm, EmailCodeSchema):
    """The API's data to ask for a code; the device tokens come from a cookie."""

    class Meta(EmailCodeSchema.Meta):
        """marshmallow's options."""

        exclude = ("device_token",)


class CodeForm(FlowForm):
    """The code of a mail."""

    code = TypedCode(EMAIL_CODE_DIGITS, required=True)


ADDRESS_FORM, CODE_FORM = AddressForm(), CodeForm()

NOTICE_KIND = "email-code"

EXPLANATIONS = {
    WrongCodeError: Explanation(
        mark("That code is wrong or no longer valid. Use the code from the newest mail."), at="code"
    ),
    TooManyAttemptsError: Explanation(WAIT),
    RateLimitedError: Explanation(WAIT),
}


@blueprint.get("/sign-in/email-code")
def show_email_code() -> Response:
    """Ask for the address."""
    abort_404_unless(SETTINGS.get().email_sign_in)
    return _show_address(Submission(given={"continue": query_continuation()}))


@blueprint.post("/sign-in/email-code")
def ask_for_email_code() -> Response:
    """Mail a code, if an account has the address; the next page is the same for every address."""
    abort_404_unless(SETTINGS.get().email_sign_in)
    submission = read_form(ADDRESS_FORM)
    if submission.values:
        email = submission.values["email"]
        found = (find_device_of_mailbox(t, email=email) for t in device_tokens())
        device = first_device(found)
        submission.values = {**submission.values, "device": device}
    return submit(submission, _ask, show=_show_address, explanations=EXPLANATIONS)


@limited(EMAIL_CODE)
@noting_limits(EMAIL_CODE_MAILS_A_MINUTE, EMAIL_CODE_MAILS_AN_HOUR)
def _ask(values: dict[str, Any]) -> Response:
    sign_in_token, _lifetime = request_email_code(
        values["email"],
        device=values["device"],
        is_mail_allowed=not values["is_over_limit"],
        request=current_request_info(),
    )
    flow = begin_flow(sign_in_token)
    arguments = {FIELD: flow.id, NOTICE: seal_notice(NOTICE_KIND, email=values["email"])}
    response = see_other(link_to("pages.show_code_of_mail", values["continue_"], **arguments))
    hold_flow(response, flow)
    return response


@blueprint.get("/sign-in/email-code/verify")
def show_code_of_mail() -> Response:
    """Ask for the code."""
    abort_404_unless(SETTINGS.get().email_sign_in)
    token, flow = query_continuation(), find_flow(request.args.get(FIELD, ""))
    if flow is None:
        return redirect_to_start(MfaTokenInvalidError(), token)
    return _show_code(flow, Submission(given={"continue": token}))


@blueprint.post("/sign-in/email-code/verify")
def verify_email_code() -> Response:
    """Start a session, or redirect to the set-up of a passkey."""
    abort_404_unless(SETTINGS.get().email_sign_in)
    submission = read_form(CODE_FORM)
    flow = find_flow(submission.given.get(FIELD, ""))
    requester = _find_requester(flow) if flow is not None else None
    if flow is None or requester is None:
        return redirect_to_start(MfaTokenInvalidError(), submission.given.get("continue", ""))
    if submission.values:
        found = (find_requesters_device(token, requester) for token in device_tokens())
        device = first_device(found)
        submission.values = {**submission.values, "requester": requester, "device": device}
    return submit(
        submission,
        partial(_verify, flow=flow),
        show=partial(_show_code, flow),
        explanations=EXPLANATIONS,
    )


def _find_requester(flow: Flow) -> SignInRequest | None:
    """Return the request of a flow's token; None if that is another step's, or too old."""
    try:
        return find_requester(flow.token)
    except WrongCodeError:
        return None


@limited(SIGN_IN)
def _verify(values: dict[str, Any], *, flow: Flow) -> Response:
    token = values["continue_"]
    try:
        done = sign_in_browser_with_email_code(
            this_browser(is_remembered=flow.is_remembered),
            requester=values["requester"],
            code=values["code"],
            device=values["device"],
        )
    except MfaEnrollmentRequiredError as error:
        response = redirect_to_next_step(error, token, is_remembered=flow.is_remembered)
        drop_flow(response, flow.id)
        return response
    return complete_flow(redirect_to_target(token), done, flow)


def _show_address(form: Submission) -> Response:
    return page("email_code.html", form=form, token=form.given.get("continue", ""))


def _show_code(flow: Flow, form: Submission) -> Response:
    sent = open_notice(NOTICE_KIND)
    return page(
        "email_code_verify.html",
        form=form,
        token=form.given.get("continue", ""),
        pending=flow.id,
        email=sent["email"] if sent is not None else "",
        notice=request.args.get(NOTICE, ""),
    )
