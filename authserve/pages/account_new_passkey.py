"""Adding a passkey to an account.

The browser makes it by the script of pages. An account's first factor needs a mailed code too, and
a GET mails nothing, so its page begins with a button.
"""

from functools import partial
from typing import Any

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.auth.factor_confirmation import confirm_passkey_in_browser
from authserve.core.errors import NotFoundError
from authserve.http.fields import DisplayName
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.mfa.email_codes import EMAIL_CODE_DIGITS
from authserve.mfa.errors import (
    PasskeyTakenError,
    TooManyPasskeysError,
    WrongMailedCodeError,
    WrongPasskeyError,
)
from authserve.mfa.factors import find_factors
from authserve.mfa.mailbox_proof import is_mailbox_proof_needed
from authserve.mfa.own_passkeys import (
    begin_registration,
    make_registration_options,
)
from authserve.mfa.passkey_options import PasskeyOwner
from authserve.mfa.passkey_schemas import MAX_NAME_LENGTH
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint
from authserve.pages.factor_changes import (
    EXPLANATIONS,
    LIST,
    read_change,
    require_session_for_change,
    show_added,
)
from authserve.pages.factor_fields import (
    PASSKEY_UNUSED,
    Credential,
    TypedCode,
    explain_credential,
    write_options,
)
from authserve.ratelimit.policy import REDEEM, SET_UP_FACTOR
from authserve.settings.model import SETTINGS
from authserve.users.own_account import on_own_account
from authserve.web.devices import name_device
from authserve.web.forms import Checkbox, Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark


class NewPasskeyForm(SignedInForm):
    """Nothing to ask for the mailed code, or a new passkey."""

    begun = Checkbox()
    credential = Credential(is_new=True)
    name = DisplayName(max_length=MAX_NAME_LENGTH)
    email_code = TypedCode(EMAIL_CODE_DIGITS)


FORM = NewPasskeyForm()

NEW_EXPLANATIONS = {
    **EXPLANATIONS,
    WrongPasskeyError: Explanation(PASSKEY_UNUSED),
    WrongMailedCodeError: Explanation(
        mark("That code is wrong or no longer valid. Use the code from the newest mail."),
        at="email_code",
    ),
    PasskeyTakenError: Explanation(
        mark("This passkey is registered already. Use another device or key.")
    ),
    TooManyPasskeysError: Explanation(
        mark("An account can have ten passkeys. Remove one that you do not use first.")
    ),
}


@blueprint.get("/account/sign-in-methods/passkeys/add")
def show_new_passkey() -> Response:
    """Show the form, or the button that asks for the mailed code of a first factor."""
    _require_passkeys()
    given = {"name": name_device(current_request_info().user_agent)}
    return _show_new(require_session_for_change(), Submission(given=given))


@blueprint.post("/account/sign-in-methods/passkeys/add")
def add_passkey() -> Response:
    """Mail the code of a first factor, or add a passkey."""
    _require_passkeys()
    session, submission = read_change(FORM)
    explain_credential(submission)
    act = _add if "credential" in submission.values else _begin
    return submit(
        submission,
        partial(act, session=session),
        show=partial(_show_new, session),
        explanations=NEW_EXPLANATIONS,
    )


def _require_passkeys() -> None:
    """Raise unless passkeys are on, as the calls of the API are missing then.

    Raises:
        NotFoundError: `PASSKEY_RP_ID` is empty.
    """
    if not SETTINGS.get().passkey_rp_id:
        raise NotFoundError


@limited(SET_UP_FACTOR)
@on_own_account
def _begin(values: dict[str, Any], *, session: BrowserSession) -> Response:
    begin_registration(
        session.actor.signed_in_user,
        display_name=session.account.display_name,
        actor=session.actor,
        request=current_request_info(),
    )
    return _show_new(session, Submission(given={"begun": "1", "name": values.get("name", "")}))


@limited(REDEEM)
@on_own_account
def _add(values: dict[str, Any], *, session: BrowserSession) -> Response:
    _passkey, done = confirm_passkey_in_browser(
        values["credential"],
        name=values.get("name"),
        email_code=values.get("email_code"),
        session=session,
        request=current_request_info(),
    )
    return show_added(session, "passkey-added", codes=done.recovery_codes, cookie=done.renewal)


def _show_new(session: BrowserSession, form: Submission) -> Response:
    account = session.account
    is_code_needed = is_mailbox_proof_needed(find_factors(account.id))
    is_open = not is_code_needed or "begun" in form.given
    owner = PasskeyOwner(id=account.id, email=account.email, display_name=account.display_name)
    options = make_registration_options(owner, session_id=session.cookie.session_id)
    return account_page(
        "account_passkey_add.html",
        visitor=session,
        below=LIST,
        form=form,
        is_code_needed=is_code_needed,
        options=write_options(options) if is_open else None,
    )
