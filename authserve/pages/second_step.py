"""The second step of a sign-in: a code of an app, a passkey, or a recovery code.

Each method has a form of its own, since browsers fill in one field for codes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Response, request
from marshmallow import fields, validate

from authserve.auth.browser_sign_in import verify_second_step_of_browser
from authserve.auth.errors import ReusedCodeError, WrongCodeError
from authserve.auth.open_sign_in import find_open_sign_in
from authserve.auth.passkey_sign_in import second_step_options
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.mfa.answers import AssertionAnswer
from authserve.mfa.assurance import SecondStep
from authserve.mfa.errors import FactorUnavailableError, InvalidPasskeyError, MfaTokenInvalidError
from authserve.mfa.pending import Purpose
from authserve.mfa.proving import GivenCode, GivenProof, GivenRecoveryCode
from authserve.mfa.recovery_codes import MAX_LENGTH
from authserve.mfa.totp import CODE_DIGITS
from authserve.pages.blueprint import blueprint, page, query_continuation, redirect_to_target
from authserve.pages.factor_fields import (
    PASSKEY_UNUSED,
    Credential,
    TypedCode,
    explain_credential,
    write_options,
)
from authserve.pages.sign_in import WAIT
from authserve.pages.sign_in_steps import (
    ENDED,
    REPORT_TRIES,
    FlowForm,
    complete_flow,
    find_submitted_flow,
    redirect_to_start,
    report_tries,
    this_browser,
)
from authserve.ratelimit.errors import RateLimitedError, TooManyAttemptsError
from authserve.ratelimit.policy import SECOND_STEP
from authserve.web.flows import FIELD, Flow, find_flow
from authserve.web.forms import Explanation, Explanations, Submission, read_form, submit
from authserve.web.languages import mark


class CodeForm(FlowForm):
    """A code of an authenticator app."""

    code = TypedCode(CODE_DIGITS, required=True)


class RecoveryCodeForm(FlowForm):
    """A recovery code."""

    recovery_code = fields.String(required=True, validate=validate.Length(max=MAX_LENGTH))


class PasskeyForm(FlowForm):
    """The answer of a passkey of the account."""

    credential = Credential(required=True)


CODE_FORM, RECOVERY_CODE_FORM, PASSKEY_FORM = CodeForm(), RecoveryCodeForm(), PasskeyForm()

NAMES = {
    SecondStep.PASSKEY: "passkey",
    SecondStep.TOTP: "totp",
    SecondStep.RECOVERY_CODE: "recovery-code",
}
"""The last segments of the methods' paths."""

UNAVAILABLE = mark("Codes cannot be checked right now. Confirm in another way, or try again later.")

_COMMON: Explanations = {
    FactorUnavailableError: Explanation(UNAVAILABLE),
    TooManyAttemptsError: Explanation(WAIT),
    RateLimitedError: Explanation(WAIT),
}

EXPLANATIONS: Mapping[SecondStep, Explanations] = {
    SecondStep.TOTP: {
        **_COMMON,
        WrongCodeError: Explanation(
            mark("That code is not right. Codes change every 30 seconds: wait for the next one."),
            at="code",
            offers=frozenset({REPORT_TRIES}),
        ),
        ReusedCodeError: Explanation(
            mark("That code was used already. Wait for the next one."), at="code"
        ),
    },
    SecondStep.PASSKEY: {**_COMMON, InvalidPasskeyError: Explanation(PASSKEY_UNUSED)},
    SecondStep.RECOVERY_CODE: {
        **_COMMON,
        WrongCodeError: Explanation(
            mark("That recovery code is not right, or it was used already."),
            at="recovery_code",
            offers=frozenset({REPORT_TRIES}),
        ),
    },
}


@blueprint.get("/sign-in/second-step")
def show_second_step() -> Response:
    """Show the best method of the account, and links to the others."""
    return _open(None)


@blueprint.get("/sign-in/second-step/<any('totp', 'passkey', 'recovery-code'):name>")
def show_second_step_by(name: str) -> Response:
    """Show one method."""
    return _open(next(method for method, each in NAMES.items() if each == name))


@blueprint.get("/sign-in/second-step/help")
def show_second_step_help() -> Response:
    """Show how a person gets back in who has no second factor at hand."""
    flow = find_flow(request.args.get(FIELD, ""))
    return page("second_step_help.html", token=query_continuation(), flow=flow)


@blueprint.post("/sign-in/second-step/totp")
def verify_totp() -> Response:
    """Complete the sign-in with a code of an authenticator app."""
    return _verify(read_form(CODE_FORM), SecondStep.TOTP)


@blueprint.post("/sign-in/second-step/recovery-code")
def verify_recovery_code() -> Response:
    """Complete the sign-in with a recovery code."""
    return _verify(read_form(RECOVERY_CODE_FORM), SecondStep.RECOVERY_CODE)


@blueprint.post("/sign-in/second-step/passkey")
def verify_passkey() -> Response:
    """Complete the sign-in with a passkey."""
    return _verify(explain_credential(read_form(PASSKEY_FORM)), SecondStep.PASSKEY)


def _open(method: SecondStep | None) -> Response:
    """Show the page of the flow that the URL names, with an empty form."""
    token, flow = query_continuation(), find_flow(request.args.get(FIELD, ""))
    if flow is None:
        return redirect_to_start(MfaTokenInvalidError(), token)
    return _show(flow, method, Submission(given={"continue": token, FIELD: flow.id}))


def _verify(submission: Submission, method: SecondStep) -> Response:
    flow = find_submitted_flow(submission)
    if flow is None:
        return redirect_to_start(MfaTokenInvalidError(), submission.given.get("continue", ""))
    return submit(
        submission,
        partial(_complete, flow=flow),
        show=partial(_show, flow, method),
        explanations=EXPLANATIONS[method],
    )


@limited(SECOND_STEP)
def _complete(values: dict[str, Any], *, flow: Flow) -> Response:
    try:
        done = verify_second_step_of_browser(
            this_browser(is_remembered=flow.is_remembered),
            mfa_token=flow.token,
            given=_given(values),
        )
    except ENDED as error:
        return redirect_to_start(error, values["continue_"])
    return complete_flow(redirect_to_target(values["continue_"]), done, flow)


def _given(values: Mapping[str, Any]) -> GivenProof:
    if "code" in values:
        return GivenCode(values["code"])
    if "recovery_code" in values:
        return GivenRecoveryCode(values["recovery_code"])
    answer: AssertionAnswer = values["credential"]
    return answer


def _show(flow: Flow, method: SecondStep | None, form: Submission) -> Response:
    """Show the page of a method; None for the best one."""
    token = form.given.get("continue", "")
    try:
        opened = find_open_sign_in(flow.token, Purpose.VERIFY)
    except ENDED as error:
        return redirect_to_start(error, token)
    shown = method if method in opened.methods else next(iter(opened.methods), None)
    if shown is None:
        return page("second_step_help.html", token=token, flow=None)
    if REPORT_TRIES in form.offers:
        report_tries(form, opened.tries_left)
    return page(
        "second_step.html",
        form=form,
        token=token,
        pending=flow.id,
        email=opened.email,
        method=NAMES[shown],
        others=[NAMES[each] for each in opened.methods if each is not shown],
        options=_options(flow) if shown is SecondStep.PASSKEY else "",
    )


def _options(flow: Flow) -> str:
    return write_options(second_step_options(flow.token, request=current_request_info()))
