"""The return from a provider: a session, a question, or the reason why there is neither.

It is a GET that signs a person in, so its answer always removes the cookie that binds the sign-in
to the browser: a second request with the same address opens nothing. An address that another person
got from the provider needs a cookie that only their browser has (login CSRF, RFC 9700 §4.7).
"""

from functools import partial

from flask import Response, after_this_request, request

from authserve.auth.browser_sessions import BrowserSession
from authserve.auth.browser_sign_in import sign_in_browser_with_provider
from authserve.auth.known_devices import find_device_of
from authserve.core.clock import now
from authserve.core.errors import AuthserveError
from authserve.federation.errors import ProviderDeniedError, UnknownStateError
from authserve.federation.flow import AuthorizationAnswer, redeem_answer
from authserve.federation.policy import AskForAddress, AskToConfirm, Link, SignIn
from authserve.federation.resolve_pending import pending_identity_of
from authserve.federation.sign_in import NextStep, ProviderReturn, prove, resolve
from authserve.federation.state import Purpose
from authserve.http.get_effects import changes_on_get
from authserve.http.limits import count_call
from authserve.http.request_info import current_request_info, request_state
from authserve.mfa.errors import SecondStepRequiredError
from authserve.pages.account_connections import LIST
from authserve.pages.blueprint import link_to, provider_blueprint, redirect_to_target
from authserve.pages.provider_confirm import redirect_to_confirm
from authserve.pages.provider_flow import STATE_FIELD, ProviderFlow, get_provider_flow
from authserve.pages.provider_link import complete_link, get_linking_session
from authserve.pages.provider_pending import (
    ADDRESS,
    EMAIL_REQUIRED,
    hold_identity,
    redirect_to_question,
)
from authserve.pages.provider_refusals import show_refusal
from authserve.pages.sign_in_steps import (
    complete,
    first_device,
    redirect_to_next_step,
    redirect_to_start,
    this_browser,
)
from authserve.ratelimit.policy import PROVIDER_ANSWERS
from authserve.settings.model import SETTINGS
from authserve.users.errors import EmailNotVerifiedError
from authserve.web.browser_session import device_tokens
from authserve.web.flows import drop_flow
from authserve.web.languages import note_language_for_mails, resume_language, storable_language
from authserve.web.rendering import see_other


@provider_blueprint.get("/sign-in/with/<slug>/callback")
@changes_on_get
def return_from_provider(slug: str) -> Response:
    """Sign in a person who comes back from a provider (RFC 6749 §4.1.2).

    Raises:
        UnknownStateError: this browser has not begun it, or the answer has a parameter twice.
        ProviderNotFoundError: there is no such provider any more.
    """
    if SETTINGS.get().ratelimit_enabled:
        count_call([PROVIDER_ANSWERS], ())
    _require_single_parameters()
    found = get_provider_flow(slug, request.args.get(STATE_FIELD, ""))
    # The answers of error handlers too take the cookie away.
    after_this_request(partial(_drop, found.flow.id))
    resume_language(found.state.language)
    # As every form does, for this GET can lead to mails too.
    note_language_for_mails()
    return _answer(found)


def _drop(flow_id: str, response: Response) -> Response:
    drop_flow(response, flow_id)
    return response


def _require_single_parameters() -> None:
    """Refuse a parameter that is sent twice (RFC 6749 §3.1)."""
    if any(len(values) > 1 for _name, values in request.args.lists()):
        raise UnknownStateError


def _answer(found: ProviderFlow) -> Response:
    if found.state.purpose is Purpose.LINK:
        return _answer_link(found)
    try:
        returned = _make_return(found)
        return _follow(found, returned, resolve(returned))
    except ProviderDeniedError as error:
        return redirect_to_start(error, found.token)
    except AuthserveError as error:
        return show_refusal(error, token=found.token, provider=found.provider)


def _answer_link(found: ProviderFlow) -> Response:
    # First, so that a stranger's answer is not even redeemed.
    session = get_linking_session(found.state)
    try:
        returned = _make_return(found, linking=session)
        return complete_link(returned, resolve(returned), session)
    except ProviderDeniedError:
        return see_other(link_to(LIST, ""))
    except AuthserveError as error:
        return show_refusal(error, token="", provider=found.provider, is_link=True)


def _make_return(found: ProviderFlow, *, linking: BrowserSession | None = None) -> ProviderReturn:
    answer = AuthorizationAnswer(
        code=request.args.get("code", ""),
        error=request.args.get("error", ""),
        issuer=request.args.get("iss", ""),
    )
    return ProviderReturn(
        provider=found.provider,
        answer=redeem_answer(found.provider, answer, secret=found.secret, now=now()),
        linking_user_id=linking.account.id if linking is not None else None,
        locale=storable_language(),
        request=current_request_info(),
    )


def _follow(found: ProviderFlow, returned: ProviderReturn, step: NextStep) -> Response:
    """Return the response to what `resolve` found."""
    is_remembered = found.flow.is_remembered
    match step:
        case SignIn() | Link():
            return complete_sign_in(returned, step, found.token, is_remembered=is_remembered)
        case AskForAddress():
            request_state().refusal_code = EMAIL_REQUIRED
            pending = pending_identity_of(returned)
            return redirect_to_question(ADDRESS, pending, found.token, is_remembered=is_remembered)
        case AskToConfirm():
            return redirect_to_confirm(returned, step, found.token, is_remembered=is_remembered)
        case _:
            # `KeepLink`, which `resolve` returns only to a person who asked for a link.
            raise UnknownStateError


def complete_sign_in(
    returned: ProviderReturn, step: SignIn | Link, token: str, *, is_remembered: bool
) -> Response:
    """Sign a person in and redirect to the target, or to the second step if one is needed.

    Args:
        step: from `resolve`.
        token: of the person's target.
        is_remembered: True if the person asked to be kept signed in.

    Raises:
        AuthserveError: see `browser_sign_in.sign_in_browser_with_provider`.
    """
    devices = (find_device_of(token, step.user_id) for token in device_tokens())
    try:
        done = sign_in_browser_with_provider(
            this_browser(is_remembered=is_remembered),
            proven=prove(returned, step),
            device=first_device(devices),
        )
    except SecondStepRequiredError as error:
        return redirect_to_next_step(error, token, is_remembered=is_remembered)
    except EmailNotVerifiedError as error:
        response = show_refusal(error, token=token, provider=returned.provider)
        hold_identity(response, pending_identity_of(returned, account_id=step.user_id))
        return response
    return complete(redirect_to_target(token), done, is_remembered=is_remembered)
