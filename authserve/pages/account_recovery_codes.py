"""The recovery codes of an account: how many are left, and new ones in place of them."""

from functools import partial
from typing import Any

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.clock import to_rfc3339
from authserve.http.fields import MomentInput
from authserve.http.request_info import current_request_info, request_state
from authserve.mfa.code_renewal import renew_recovery_codes
from authserve.mfa.errors import NoFactorError
from authserve.mfa.recovery_codes import CODES, find_code_set
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint
from authserve.pages.factor_changes import (
    EXPLANATIONS,
    LIST,
    read_pressed_change,
    require_session_for_change,
    show_codes,
)
from authserve.users.errors import ChangedMeanwhileError
from authserve.users.own_account import on_own_account
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark

CONFLICT = 409


class RenewalForm(SignedInForm):
    """The time of the codes that go; nothing if there are none."""

    replaces = MomentInput(load_default=None)


FORM = RenewalForm()

RENEWAL_EXPLANATIONS = {
    **EXPLANATIONS,
    NoFactorError: Explanation(
        mark("Recovery codes stand in for a second factor. Add an app or a passkey first.")
    ),
}


@blueprint.get("/account/sign-in-methods/recovery-codes")
def show_recovery_codes() -> Response:
    """Show how many codes are left, and the button that makes new ones."""
    return _show(require_session_for_change(), Submission())


@blueprint.post("/account/sign-in-methods/recovery-codes")
def renew_own_recovery_codes() -> Response:
    """Make new codes and show them this once.

    The form names the codes that it replaces, so neither a reload nor a second press makes others
    and voids those that the person has just saved.
    """
    session, submission = read_pressed_change(FORM)
    return submit(
        submission,
        partial(_renew, session=session),
        show=partial(_show, session),
        explanations=RENEWAL_EXPLANATIONS,
    )


@on_own_account
def _renew(values: dict[str, Any], *, session: BrowserSession) -> Response:
    try:
        codes = renew_recovery_codes(
            session.actor.signed_in_user,
            replaces=values["replaces"],
            actor=session.actor,
            request=current_request_info(),
        )
    except ChangedMeanwhileError as error:
        request_state().refusal_code = error.code
        return account_page("account_codes_gone.html", visitor=session, below=LIST, status=CONFLICT)
    return show_codes(session, codes, has_replaced=values["replaces"] is not None)


def _show(session: BrowserSession, form: Submission) -> Response:
    found = find_code_set(session.account.id)
    return account_page(
        "account_codes.html",
        visitor=session,
        below=LIST,
        form=form,
        found=found,
        replaces=to_rfc3339(found.created_at) if found.created_at is not None else "",
        all_codes=CODES,
    )
