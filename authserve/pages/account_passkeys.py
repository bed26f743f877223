"""The passkeys of an account: renaming, accepting and removing them."""

from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from flask import Response
from marshmallow import ValidationError, fields, validates_schema

from authserve.auth.browser_sessions import BrowserSession
from authserve.http.fields import DisplayName
from authserve.http.request_info import current_request_info
from authserve.mfa.errors import (
    LastCredentialError,
)
from authserve.mfa.factors import find_factors
from authserve.mfa.own_passkeys import (
    change_passkey,
    get_passkey,
    remove_passkey,
)
from authserve.mfa.passkey_schemas import MAX_NAME_LENGTH
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint
from authserve.pages.factor_changes import (
    EXPLANATIONS,
    LIST,
    find_consequence,
    read_change,
    read_pressed_change,
    redirect_to_methods,
    require_session_for_change,
)
from authserve.pages.passkey_providers import find_provider
from authserve.users.own_account import on_own_account
from authserve.web.forms import Explanation, SignedInForm, Submission, submit
from authserve.web.languages import mark


class PasskeyForm(SignedInForm):
    """A new name, or the owner's word that a passkey is no clone."""

    name = DisplayName(max_length=MAX_NAME_LENGTH)
    clone_suspected = fields.Boolean(truthy=set(), falsy={"false"})

    @validates_schema(skip_on_field_errors=True)
    def _require_change(self, data: dict[str, Any], **_kwargs: Any) -> None:
        if not {"name", "clone_suspected"} & data.keys():
            raise ValidationError("Missing data for required field.", "name")


FORM = PasskeyForm()

REMOVAL_EXPLANATIONS = {
    **EXPLANATIONS,
    LastCredentialError: Explanation(
        mark("Nothing else would open this account. Set a password first.")
    ),
}


@blueprint.get("/account/sign-in-methods/passkeys/<uuid:passkey_id>")
def show_passkey(passkey_id: UUID) -> Response:
    """Show a passkey, with the form that renames it."""
    return _show(require_session_for_change(), passkey_id, Submission())


@blueprint.post("/account/sign-in-methods/passkeys/<uuid:passkey_id>")
def change_own_passkey(passkey_id: UUID) -> Response:
    """Rename a passkey, or accept one that is suspected to be a clone."""
    session, submission = read_change(FORM)
    return submit(
        submission,
        partial(_change, session=session, passkey_id=passkey_id),
        show=partial(_show, session, passkey_id),
        explanations=EXPLANATIONS,
    )


@on_own_account
def _change(values: dict[str, Any], *, session: BrowserSession, passkey_id: UUID) -> Response:
    change_passkey(
        session.actor.signed_in_user,
        passkey_id,
        name=values.get("name"),
        is_no_clone="clone_suspected" in values,
        actor=session.actor,
        request=current_request_info(),
    )
    return redirect_to_methods("passkey-renamed" if "name" in values else "passkey-accepted")


def _show(session: BrowserSession, passkey_id: UUID, form: Submission) -> Response:
    passkey = get_passkey(session.account.id, passkey_id)
    form.given.setdefault("name", passkey.name)
    return account_page(
        "account_passkey.html",
        visitor=session,
        below=LIST,
        form=form,
        passkey=passkey,
        provider=find_provider(passkey.aaguid),
    )


@blueprint.get("/account/sign-in-methods/passkeys/<uuid:passkey_id>/remove")
def show_passkey_removal(passkey_id: UUID) -> Response:
    """Ask whether to remove a passkey, and say what follows."""
    return _show_removal(require_session_for_change(), passkey_id, Submission())


@blueprint.post("/account/sign-in-methods/passkeys/<uuid:passkey_id>/remove")
def remove_own_passkey(passkey_id: UUID) -> Response:
    """Remove a passkey; every other session ends."""
    session, submission = read_pressed_change()
    return submit(
        submission,
        partial(_remove, session=session, passkey_id=passkey_id),
        show=partial(_show_removal, session, passkey_id),
        explanations=REMOVAL_EXPLANATIONS,
    )


@on_own_account
def _remove(_values: dict[str, Any], *, session: BrowserSession, passkey_id: UUID) -> Response:
    remove_passkey(
        session.actor.signed_in_user,
        passkey_id,
        actor=session.actor,
        request=current_request_info(),
    )
    return redirect_to_methods("passkey-removed")


def _show_removal(session: BrowserSession, passkey_id: UUID, form: Submission) -> Response:
    passkey, factors = get_passkey(session.account.id, passkey_id), find_factors(session.account.id)
    left = replace(factors, usable_passkeys=factors.usable_passkeys - passkey.is_usable)
    return account_page(
        "account_passkey_remove.html",
        visitor=session,
        below=LIST,
        form=form,
        passkey=passkey,
        consequence=find_consequence(left, mfa_enabled=session.account.mfa_enabled),
    )
