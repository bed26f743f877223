"""The pages that say why a sign-in by a provider ended: what happened, what to do, and its code."""

from collections.abc import Mapping

from flask import Response

from authserve.auth.errors import UnlinkedIdentityError
from authserve.core.errors import AuthserveError, RetryableError
from authserve.core.frozen import frozen
from authserve.federation.errors import (
    AccountExistsError,
    DomainNotAllowedError,
    IdentityTakenError,
    ProviderAwayError,
    SignUpClosedError,
    TooManyIdentitiesError,
    UnknownStateError,
)
from authserve.federation.registry import Provider
from authserve.http.errors import refusal_headers, status_of
from authserve.http.request_info import request_state
from authserve.pages.blueprint import page, provider_blueprint
from authserve.users.errors import AccountDisabledError, EmailNotVerifiedError
from authserve.web.languages import mark, translate
from authserve.web.rendering import WITHOUT_REFERRER


@frozen()
class _Words:
    """The title of a refusal and what to do; both may have the place `provider`."""

    title: str
    advice: str


_UNKNOWN_STATE = _Words(
    mark("This sign-in is over"),
    mark(
        "It took longer than ten minutes, is over already, or began in another browser. Start "
        "again."
    ),
)

_WORDS: Mapping[type[AuthserveError], _Words] = {
    UnknownStateError: _UNKNOWN_STATE,
    UnlinkedIdentityError: _UNKNOWN_STATE,
    ProviderAwayError: _Words(
        mark("%(provider)s does not answer as it should"),
        mark("Nothing was changed. Wait a moment and start again, or sign in another way."),
    ),
    AccountDisabledError: _Words(
        mark("This account is switched off"),
        mark("Ask the operator of this service."),
    ),
    EmailNotVerifiedError: _Words(
        mark("Verify your address first"),
        mark("Open the link in the mail that we sent you, then sign in with %(provider)s again."),
    ),
    DomainNotAllowedError: _Words(
        mark("This account may not sign in here"),
        mark(
            "The operator of this service admits people of certain organizations at %(provider)s. "
            "Start again with another account of yours."
        ),
    ),
    SignUpClosedError: _Words(
        mark("You have no account here"),
        mark(
            "New accounts are not opened for people from %(provider)s. If you have an account, "
            "sign in another way; otherwise ask the operator of this service."
        ),
    ),
    AccountExistsError: _Words(
        mark("Your address has an account here already"),
        mark("It is not linked with your account at %(provider)s. Sign in another way."),
    ),
    IdentityTakenError: _Words(
        mark("That account is linked to another one here"),
        mark("Your account at %(provider)s is linked to another account of this service."),
    ),
    TooManyIdentitiesError: _Words(
        mark("This account is linked with ten services already"),
        mark("An account can be linked with ten services. Unlink one that you do not use first."),
    ),
}
"""The words of each refusal; one without any gets the general error page."""


def show_refusal(
    error: AuthserveError, *, token: str, provider: Provider, is_link: bool = False
) -> Response:
    """Return the page of a refusal after a provider's answer.

    Args:
        token: of the person's target, to which another way may lead.
        is_link: True if a signed-in person has asked for a link.
    """
    return _show(error, token=token, name=provider.configuration.name, is_link=is_link)


@provider_blueprint.errorhandler(UnknownStateError)
def show_unknown_state(error: UnknownStateError) -> Response:
    """Return the page of a way that this browser has not begun, or that is over."""
    return _show(error, token="", name="")


def _show(error: AuthserveError, *, token: str, name: str, is_link: bool = False) -> Response:
    request_state().refusal_code = error.code
    words = _find_words(error)
    if words is None:
        raise error
    return page(
        "provider_refused.html",
        status=status_of(error),
        headers=refusal_headers(error) if isinstance(error, RetryableError) else {},
        referrer_policy=WITHOUT_REFERRER,
        has_switch=False,
        title=translate(words.title, provider=name),
        advice=translate(words.advice, provider=name),
        code=error.code,
        correlation_id=request_state().correlation_id,
        token=token,
        is_link=is_link,
        is_unverified=isinstance(error, EmailNotVerifiedError),
    )


def _find_words(error: AuthserveError) -> _Words | None:
    return next((_WORDS[kind] for kind in type(error).__mro__ if kind in _WORDS), None)
