"""Setting up an account's first second factor, during a sign-in that needs one.

A person chooses a method, then confirms it together with the code that was mailed. The page of an
app is the answer to a form, since a GET must not make a secret. Its form sends the secret along, so
that the page can show it again after a mistyped code; codes are compared with the stored one.
"""

from base64 import b32decode
from collections.abc import Mapping
from functools import partial
from typing import Any

from flask import Response, request
from marshmallow import ValidationError, fields, validate, validates_schema

from authserve.auth.browser_sign_in import enroll_browser
from authserve.auth.enrollment_options import begin_enrollment
from authserve.auth.errors import WrongCodeError
from authserve.auth.open_sign_in import OpenSignIn, find_open_sign_in
from authserve.http.fields import DisplayName
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.mfa.answers import RegistrationAnswer
from authserve.mfa.assurance import SecondStep
from authserve.mfa.email_codes import EMAIL_CODE_DIGITS
from authserve.mfa.errors import (
    FactorUnavailableError,
    InvalidPasskeyError,
    MfaTokenInvalidError,
    NoSetUpError,
    PasskeyTakenError,
)
from authserve.mfa.passkey_schemas import MAX_NAME_LENGTH
from authserve.mfa.pending import Purpose
from authserve.mfa.proving import GivenCode
from authserve.mfa.totp import CODE_DIGITS
from authserve.mfa.totp_set_up import SetUp, describe_set_up
from authserve.pages.blueprint import blueprint, page, path_to_target, query_continuation
from authserve.pages.factor_fields import (
    PASSKEY_UNUSED,
    Credential,
    TypedCode,
    explain_credential,
    write_options,
)
from authserve.pages.second_step import UNAVAILABLE
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
from authserve.web.forms import Explanation, Submission, read_form, submit
from authserve.web.languages import mark


class SetUpForm(FlowForm):
    """A method to begin with, or its confirmation."""

    method = fields.Enum(
        SecondStep,
        by_value=fields.String,
        required=True,
        validate=validate.OneOf([SecondStep.PASSKEY, SecondStep.TOTP]),
    )
    email_code = TypedCode(EMAIL_CODE_DIGITS)
    code = TypedCode(CODE_DIGITS)
    secret = fields.String(validate=validate.Regexp(r"[A-Z2-7]{32}\Z", error="Not a secret."))
    credential = Credential(is_new=True)
    name = DisplayName(max_length=MAX_NAME_LENGTH)

    @validates_schema(skip_on_field_errors=True)
    def _require_code(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if "secret" in data and "code" not in data:
            raise ValidationError("Missing data for required field.", "code")


FORM = SetUpForm()

BEGIN_AGAIN = "begin-again"

EXPLANATIONS = {
    WrongCodeError: Explanation(
        mark("A code is not right. Use the newest one."), offers=frozenset({REPORT_TRIES})
    ),
    InvalidPasskeyError: Explanation(PASSKEY_UNUSED),
    PasskeyTakenError: Explanation(
        mark("This passkey is registered already. Use another device or key.")
    ),
    NoSetUpError: Explanation(
        mark("This set-up is no longer valid. Begin it again."), offers=frozenset({BEGIN_AGAIN})
    ),
    FactorUnavailableError: Explanation(UNAVAILABLE),
    TooManyAttemptsError: Explanation(WAIT),
    RateLimitedError: Explanation(WAIT),
}


@blueprint.get("/sign-in/set-up")
def show_set_up() -> Response:
    """Show the methods, or the set-up of a passkey."""
    token, flow = query_continuation(), find_flow(request.args.get(FIELD, ""))
    if flow is None:
        return redirect_to_start(MfaTokenInvalidError(), token)
    method = request.args.get("method", "")
    return _show(flow, Submission(given={"continue": token, FIELD: flow.id, "method": method}))


@blueprint.post("/sign-in/set-up")
def set_up() -> Response:
    """Begin with an app, or confirm an app or a passkey and complete the sign-in."""
    submission = explain_credential(read_form(FORM))
    flow = find_submitted_flow(submission)
    if flow is None:
        return redirect_to_start(MfaTokenInvalidError(), submission.given.get("continue", ""))
    is_confirmation = {"secret", "credential"} & submission.values.keys()
    return submit(
        submission,
        partial(_confirm if is_confirmation else _begin, flow=flow),
        show=partial(_show, flow),
        explanations=EXPLANATIONS,
    )


@limited(SECOND_STEP)
def _begin(values: dict[str, Any], *, flow: Flow) -> Response:
    method, token = values["method"], values["continue_"]
    given = {"continue": token, FIELD: flow.id, "method": method.value}
    if method is SecondStep.TOTP:
        try:
            made = begin_enrollment(flow.token, method, request=current_request_info())
        except ENDED as error:
            return redirect_to_start(error, token)
        given["secret"] = made["secret"]
    return _show(flow, Submission(given=given))


@limited(SECOND_STEP)
def _confirm(values: dict[str, Any], *, flow: Flow) -> Response:
    token = values["continue_"]
    try:
        done = enroll_browser(
            this_browser(is_remembered=flow.is_remembered),
            mfa_token=flow.token,
            given=_given(values),
            email_code=values.get("email_code"),
            name=values.get("name"),
        )
    except ENDED as error:
        return redirect_to_start(error, token)
    shown = page(
        "recovery_codes.html", codes=done.recovery_codes, path_to_target=path_to_target(token)
    )
    return complete_flow(shown, done, flow)


def _given(values: Mapping[str, Any]) -> GivenCode | RegistrationAnswer:
    answer: RegistrationAnswer | None = values.get("credential")
    return GivenCode(values["code"]) if answer is None else answer


def _show(flow: Flow, form: Submission) -> Response:
    """Show the methods, or the set-up of one of them."""
    token = form.given.get("continue", "")
    try:
        opened = find_open_sign_in(flow.token, Purpose.ENROLL)
    except ENDED as error:
        return redirect_to_start(error, token)
    if REPORT_TRIES in form.offers:
        report_tries(form, opened.tries_left)
    template, values = _choose(flow, form, opened)
    return page(template, form=form, token=token, pending=flow.id, opened=opened, **values)


def _choose(flow: Flow, form: Submission, opened: OpenSignIn) -> tuple[str, Mapping[str, Any]]:
    """Return the template of the step that a form belongs to, and its values."""
    secret = form.given.get("secret")
    is_secret_good = "secret" not in form.faults and BEGIN_AGAIN not in form.offers
    if secret and is_secret_good and SecondStep.TOTP in opened.methods:
        return "set_up_totp.html", {"set_up": _describe(secret, opened)}
    if form.given.get("method") == SecondStep.PASSKEY or opened.methods == (SecondStep.PASSKEY,):
        made = begin_enrollment(flow.token, SecondStep.PASSKEY, request=current_request_info())
        return "set_up_passkey.html", {"options": write_options(made["public_key"])}
    return "set_up.html", {}


def _describe(secret: str, opened: OpenSignIn) -> SetUp:
    return describe_set_up(
        b32decode(secret), email=opened.email, email_code_required=opened.is_code_mailed
    )
