"""Joining an identity with the account that has its address, by that account's own owner.

The first page asks the person to sign in once in another way. The second one, behind that sign-in,
names provider, identity and account, and its form completes the link.
"""

from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.federation.errors import (
    AccountExistsError,
    DomainNotAllowedError,
    IdentityTakenError,
    OtherAccountError,
    TooManyIdentitiesError,
)
from authserve.federation.linking import link_pending_identity
from authserve.federation.policy import AskToConfirm
from authserve.federation.resolve_pending import (
    get_provider_of,
    is_address_verified,
    pending_identity_of,
)
from authserve.federation.sign_in import ProviderReturn
from authserve.http.request_info import current_request_info, request_state
from authserve.pages.account_identities import redirect_to_connections
from authserve.pages.blueprint import link_to, page, provider_blueprint, redirect_to_target
from authserve.pages.factor_changes import (
    BUTTON,
    read_change,
    require_session_for_change,
)
from authserve.pages.provider_pending import HeldIdentity, get_held_identity, redirect_to_question
from authserve.pages.provider_refusals import show_refusal
from authserve.users.own_account import on_own_account
from authserve.web.continuation import Continuation, TargetKind, write_continuation
from authserve.web.flows import FIELD, drop_flow
from authserve.web.forms import Explanation, Explanations, Submission, submit
from authserve.web.languages import mark

EXISTS, CONFIRM = "provider_pages.show_account_exists", "provider_pages.show_confirm_link"

EXPLANATIONS: Explanations = {
    OtherAccountError: Explanation(
        mark("This is not the account with that address. Nothing was changed.")
    ),
    IdentityTakenError: Explanation(
        mark("Your account at that service is linked to another account here by now.")
    ),
    TooManyIdentitiesError: Explanation(
        mark("An account can be linked with ten services. Unlink one that you do not use first.")
    ),
}


def redirect_to_confirm(
    returned: ProviderReturn, step: AskToConfirm, token: str, *, is_remembered: bool
) -> Response:
    """Return the redirect to the page that says that an account has the address.

    Args:
        token: of the person's target.
    """
    request_state().refusal_code = AccountExistsError.code
    pending = pending_identity_of(returned, account_id=step.user_id)
    return redirect_to_question(EXISTS, pending, token, is_remembered=is_remembered)


@provider_blueprint.get("/sign-in/with/<slug>/account-exists")
def show_account_exists(slug: str) -> Response:
    """Ask the person to sign in once in another way.

    Raises:
        UnknownStateError: see `get_held_identity`.
    """
    held = get_held_identity(slug, has_account=True)
    return page(
        "provider_account_exists.html",
        provider=get_provider_of(held.pending).configuration.name,
        address=held.pending.address,
        must_reclaim=not is_address_verified(held.pending),
        token=_write_way_on(held),
        code=AccountExistsError.code,
    )


@provider_blueprint.get("/sign-in/with/<slug>/confirm")
def show_confirm_link(slug: str) -> Response:
    """Ask the owner of the account whether to link the identity.

    Raises:
        UnknownStateError: see `get_held_identity`.
    """
    held = get_held_identity(slug, has_account=True)
    return _show(require_session_for_change(), held, Submission())


@provider_blueprint.post("/sign-in/with/<slug>/confirm")
def confirm_link(slug: str) -> Response:
    """Link the identity to the account of the signed-in person.

    Raises:
        UnknownStateError: see `get_held_identity`.
    """
    held = get_held_identity(slug, has_account=True)
    session, submission = read_change(BUTTON)
    act = partial(_link, held=held, session=session)
    try:
        return submit(
            submission, act, show=partial(_show, session, held), explanations=EXPLANATIONS
        )
    except (AccountExistsError, DomainNotAllowedError) as error:
        provider = get_provider_of(held.pending)
        return show_refusal(error, token="", provider=provider, is_link=True)


@on_own_account
def _link(_values: dict[str, Any], *, held: HeldIdentity, session: BrowserSession) -> Response:
    link_pending_identity(
        held.pending,
        provider=get_provider_of(held.pending),
        actor=session.actor,
        request=current_request_info(),
    )
    response = redirect_to_target(held.token) if held.token else redirect_to_connections("linked")
    drop_flow(response, held.flow.id)
    return response


def _show(session: BrowserSession, held: HeldIdentity, form: Submission) -> Response:
    provider = get_provider_of(held.pending)
    account = session.account
    return page(
        "provider_confirm.html",
        visitor=session,
        form=form,
        provider=provider.configuration.name,
        identity=held.pending.identity.email or held.pending.identity.subject,
        address=held.pending.address,
        is_owner=(account.id, account.email) == (held.pending.account_id, held.pending.address),
        is_verified=account.email_verified,
        action=link_to(CONFIRM, "", slug=provider.slug, **{FIELD: held.flow.id}),
        token=_write_way_on(held),
    )


def _write_way_on(held: HeldIdentity) -> str:
    """Return the token of the second page, to which a sign-in leads."""
    query = urlencode({"slug": held.pending.provider, FIELD: held.flow.id})
    return write_continuation(Continuation(TargetKind.PAGE, f"{CONFIRM}?{query}")) or ""
