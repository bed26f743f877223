"""Signing in with a passkey alone, by the browser's autofill or by a button.

The page of the sign-in form contains the options. The script asks for new ones before they
expire, and writes the passkey's answer into the form.
"""

import json
from functools import partial
from typing import Any

from flask import Response

from authserve.auth.browser_sign_in import sign_in_browser_with_passkey
from authserve.auth.known_devices import find_passkey_device
from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.http.limits import limited
from authserve.mfa.answers import AssertionAnswer
from authserve.mfa.challenges import SIGN_IN as SIGN_IN_USE
from authserve.mfa.errors import InvalidPasskeyError, UnknownPasskeyError
from authserve.mfa.passkey_options import EXPIRES_IN_SECS, request_options
from authserve.pages.blueprint import (
    abort_404_unless,
    blueprint,
    link_to,
    query_continuation,
    redirect_to_target,
)
from authserve.pages.factor_fields import PASSKEY_UNUSED, Credential, explain_credential
from authserve.pages.sign_in import EXPLANATIONS as SIGN_IN_EXPLANATIONS
from authserve.pages.sign_in import show_form
from authserve.pages.sign_in_steps import complete, first_device, this_browser
from authserve.ratelimit.policy import PASSKEY_OPTIONS, SIGN_IN
from authserve.settings.model import SETTINGS
from authserve.web.browser_session import device_tokens
from authserve.web.forms import (
    Checkbox,
    Explanation,
    PageForm,
    Submission,
    read_form,
    submit,
)
from authserve.web.languages import mark
from authserve.web.rendering import see_other


class PasskeyForm(PageForm):
    """The answer of a passkey."""

    credential = Credential(required=True)
    remember = Checkbox()


FORM = PasskeyForm()

FORGET = "forget"
"""An offer of explanations: the browser forgets the passkey."""

EXPLANATIONS = {
    **SIGN_IN_EXPLANATIONS,
    InvalidPasskeyError: Explanation(PASSKEY_UNUSED),
    UnknownPasskeyError: Explanation(
        mark("Your device knows no passkey for %(brand)s. Sign in another way, then add one."),
        offers=frozenset({FORGET}),
    ),
}


@blueprint.get("/sign-in/passkey-options")
@limited(PASSKEY_OPTIONS)
def show_passkey_options() -> Response:
    """Return new options to the script, as the API's call does."""
    abort_404_unless(bool(SETTINGS.get().passkey_rp_id))
    options = request_options(SIGN_IN_USE, now=now())
    document = json.dumps({"public_key": options, "expires_in": EXPIRES_IN_SECS})
    return Response(document, mimetype="application/json", headers={"Cache-Control": "no-store"})


@blueprint.get("/sign-in/passkey")
def show_sign_in_with_passkey() -> Response:
    """Redirect to the form to sign in, if a person reloads a refusal of the form below."""
    return see_other(link_to("pages.show_sign_in", query_continuation()))


@blueprint.post("/sign-in/passkey")
def sign_in_with_passkey() -> Response:
    """Start a session and redirect to the target."""
    abort_404_unless(bool(SETTINGS.get().passkey_rp_id))
    submission = explain_credential(read_form(FORM))
    submission.values = _with_device(submission.values)
    show = partial(_show, submission.values.get("credential"))
    return submit(submission, _start_session, show=show, explanations=EXPLANATIONS)


def _with_device(values: dict[str, Any]) -> dict[str, Any]:
    """Add the browser's device that the account knows, by which limits count."""
    if not values:
        return values
    found = (find_passkey_device(token, values["credential"]) for token in device_tokens())
    return {**values, "device": first_device(found)}


@limited(SIGN_IN)
def _start_session(values: dict[str, Any]) -> Response:
    is_remembered = values["remember"]
    done = sign_in_browser_with_passkey(
        this_browser(is_remembered=is_remembered),
        answer=values["credential"],
        device=values["device"],
    )
    return complete(redirect_to_target(values["continue_"]), done, is_remembered=is_remembered)


def _show(answer: AssertionAnswer | None, form: Submission) -> Response:
    is_unknown = FORGET in form.offers
    unknown = encode_base64url(answer.id) if answer is not None and is_unknown else ""
    return show_form(form, unknown_passkey=unknown)
