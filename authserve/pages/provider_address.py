"""The question for an address, to a person without an account whose provider names none."""

from functools import partial
from typing import Any

from flask import Response

from authserve.core.errors import AuthserveError
from authserve.federation.errors import UnknownStateError
from authserve.federation.policy import AskToConfirm
from authserve.federation.resolve_pending import (
    get_provider_of,
    open_with_address,
    return_with_address,
)
from authserve.federation.sign_in import ProviderReturn
from authserve.http.limits import limited
from authserve.http.request_info import current_request_info
from authserve.pages.blueprint import link_to, page, provider_blueprint, redirect_with_notice
from authserve.pages.provider_callback import complete_sign_in
from authserve.pages.provider_confirm import redirect_to_confirm
from authserve.pages.provider_pending import (
    ADDRESS,
    EMAIL_REQUIRED,
    HeldIdentity,
    get_held_identity,
)
from authserve.pages.provider_refusals import show_refusal
from authserve.pages.sign_in import WAIT
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import SIGN_UP, SIGN_UP_OF_EMAIL
from authserve.settings.model import SETTINGS
from authserve.verification.schemas import AddressSchema
from authserve.web.flows import FIELD, drop_flow
from authserve.web.forms import Explanation, Explanations, PageForm, Submission, read_form, submit
from authserve.web.languages import storable_language


class NewAddressForm(PageForm, AddressSchema):
    """The address of a new account."""


FORM = NewAddressForm()

EXPLANATIONS: Explanations = {RateLimitedError: Explanation(WAIT)}


@provider_blueprint.get("/sign-in/with/<slug>/address")
def show_address(slug: str) -> Response:
    """Ask for the address.

    Raises:
        UnknownStateError: see `_get_held_without_account`.
    """
    return _show(_get_held_without_account(slug), Submission())


@provider_blueprint.post("/sign-in/with/<slug>/address")
def give_address(slug: str) -> Response:
    """Open an account with the address.

    Raises:
        UnknownStateError: see `_get_held_without_account`.
    """
    held = _get_held_without_account(slug)
    act = partial(_open, held=held)
    return submit(read_form(FORM), act, show=partial(_show, held), explanations=EXPLANATIONS)


def _get_held_without_account(slug: str) -> HeldIdentity:
    """Return the pending identity that the query names, of a person whose address is missing.

    Raises:
        UnknownStateError: see `get_held_identity`; or the provider has named an account's address,
            so the person may not type another.
    """
    held = get_held_identity(slug, has_account=False)
    if held.pending.account_id is not None:
        raise UnknownStateError
    return held


@limited(SIGN_UP, SIGN_UP_OF_EMAIL)
def _open(values: dict[str, Any], *, held: HeldIdentity) -> Response:
    email = values["email"]
    returned = return_with_address(
        held.pending, email, locale=storable_language(), request=current_request_info()
    )
    response = _answer(held, returned, email)
    drop_flow(response, held.flow.id)
    return response


def _answer(held: HeldIdentity, returned: ProviderReturn, email: str) -> Response:
    is_remembered = held.flow.is_remembered
    try:
        step = open_with_address(returned)
        if step is None:
            return redirect_with_notice(
                "pages.show_sign_up", notice="sign-up", email=email, token=held.token
            )
        if isinstance(step, AskToConfirm):
            return redirect_to_confirm(returned, step, held.token, is_remembered=is_remembered)
        return complete_sign_in(returned, step, held.token, is_remembered=is_remembered)
    except AuthserveError as error:
        return show_refusal(error, token=held.token, provider=returned.provider)


def _show(held: HeldIdentity, form: Submission) -> Response:
    provider = get_provider_of(held.pending)
    return page(
        "provider_address.html",
        form=form,
        provider=provider.configuration.name,
        domains=SETTINGS.get().registration_domains,
        action=link_to(ADDRESS, "", slug=provider.slug, **{FIELD: held.flow.id}),
        token=held.token,
        code=EMAIL_REQUIRED,
    )
