"""The ways to sign in to an account, and the switch of its second factor."""

from functools import partial
from typing import Any

from flask import Response
from marshmallow import fields

from authserve.auth.browser_sessions import BrowserSession
from authserve.core.clock import now
from authserve.http.request_info import current_request_info
from authserve.mfa.errors import MfaRequiredByPolicyError, NoFactorError
from authserve.mfa.factors import find_mfa_state
from authserve.mfa.own_passkeys import MAX_PASSKEYS, find_passkeys
from authserve.mfa.recovery_codes import CODES
from authserve.mfa.switch import set_mfa
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint
from authserve.pages.factor_changes import (
    EXPLANATIONS,
    LIST,
    NOTICE_KIND,
    read_pressed_change,
    redirect_to_methods,
    show_codes,
)
from authserve.pages.passkey_providers import find_provider
from authserve.settings.model import SETTINGS, Mfa
from authserve.users.credentials import get_credentials
from authserve.users.own_account import on_own_account
from authserve.web.access import require_signed_in
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark
from authserve.web.notices import open_notice
from authserve.web.sign_in_providers import find_linked_providers, find_sign_in_providers


class SwitchForm(SignedInForm):
    """The new position of the switch."""

    enabled = fields.Boolean(required=True, truthy={"true"}, falsy={"false"})


FORM = SwitchForm()

SWITCH_EXPLANATIONS = {
    **EXPLANATIONS,
    MfaRequiredByPolicyError: Explanation(
        mark("This service requires a second factor, so it stays on.")
    ),
    NoFactorError: Explanation(mark("Add an authenticator app or a passkey first.")),
}


@blueprint.get("/account/sign-in-methods")
def show_methods() -> Response:
    """Show how the user can sign in."""
    done = open_notice(NOTICE_KIND)
    return _show(require_signed_in(), Submission(), done=done["done"] if done is not None else None)


@blueprint.post("/account/sign-in-methods/second-factor")
def switch_second_factor() -> Response:
    """Switch the second factor on or off; every other session ends."""
    session, submission = read_pressed_change(FORM, back_to=LIST)
    return submit(
        submission,
        partial(_switch, session=session),
        show=partial(_show, session),
        explanations=SWITCH_EXPLANATIONS,
    )


@on_own_account
def _switch(values: dict[str, Any], *, session: BrowserSession) -> Response:
    is_enabled: bool = values["enabled"]
    codes = set_mfa(
        session.actor.signed_in_user,
        is_enabled=is_enabled,
        actor=session.actor,
        request=current_request_info(),
    )
    if codes is not None:
        return show_codes(session, codes)
    return redirect_to_methods("turned-on" if is_enabled else "turned-off")


@on_own_account
def _show(session: BrowserSession, form: Submission, *, done: str | None = None) -> Response:
    settings, account = SETTINGS.get(), session.account
    passkeys = find_passkeys(account.id, limit=MAX_PASSKEYS)
    state = find_mfa_state(account.id, mfa_enabled=account.mfa_enabled, now=now())
    return account_page(
        "account_methods.html",
        visitor=session,
        below=LIST,
        form=form,
        done=done,
        has_password=get_credentials(account.id).password_hash is not None,
        state=state,
        has_factor=state.totp is not None or any(passkey.is_usable for passkey in passkeys),
        passkeys=[(passkey, find_provider(passkey.aaguid)) for passkey in passkeys],
        may_add=settings.mfa is not Mfa.OFF or account.mfa_enabled,
        may_add_passkey=bool(settings.passkey_rp_id) and len(passkeys) < MAX_PASSKEYS,
        all_codes=CODES,
        has_services=bool(find_sign_in_providers()),
        linked_services=find_linked_providers(account.id),
    )
