"""The redirect of a person to a provider, and the answer with which they come back."""

import logging
from dataclasses import field
from datetime import datetime

from authserve.core.crypto import UndecryptableError
from authserve.core.frozen import frozen
from authserve.federation.answer_faults import FAULT_OBSERVER, AnswerFault
from authserve.federation.ask import Endpoint, ProviderAnswer, ask_provider, find_endpoint
from authserve.federation.code_exchange import Exchange
from authserve.federation.documents import callback_uri
from authserve.federation.errors import (
    ProviderAwayError,
    ProviderDeniedError,
    ProviderNotFoundError,
    UnknownStateError,
)
from authserve.federation.presets import Preset
from authserve.federation.registry import Provider, find_provider
from authserve.federation.secrets import read_secret
from authserve.federation.state import challenge_of, nonce_of, verifier_of
from authserve.federation.upstream import (
    UPSTREAM,
    Conversation,
    ProviderUnavailableError,
)

logger = logging.getLogger(__name__)

_ACCESS_DENIED = "access_denied"

_KNOWN_ERRORS = frozenset(
    {
        "invalid_request",
        "unauthorized_client",
        "unsupported_response_type",
        "invalid_scope",
        "server_error",
        "temporarily_unavailable",
        "interaction_required",
        "login_required",
        "account_selection_required",
        "consent_required",
        "redirect_uri_mismatch",
        "application_suspended",
    }
)
"""Codes of RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2.6 and GitHub ("Troubleshooting
authorization request errors"), which the operator's log may show."""


@frozen(kw_only=True)
class AuthorizationRequest:
    """The address at a provider to which a browser goes.

    Args:
        endpoint: the provider's own part of it.
        fields: the parameters to add to its query.
    """

    endpoint: str
    fields: dict[str, str] = field(repr=False)


@frozen(kw_only=True)
class AuthorizationAnswer:
    """The parameters with which a browser comes back (RFC 6749 §4.1.2, RFC 9207 §2).

    An absent one is an empty text.
    """

    code: str = field(repr=False)
    error: str
    issuer: str


def get_open_provider(slug: str) -> Provider:
    """Return a provider by which people sign in.

    Raises:
        ProviderNotFoundError: there is none of this slug, or it is disabled.
    """
    found = find_provider(slug)
    if found is None or not found.configuration.enabled:
        raise ProviderNotFoundError
    return found


def make_request(
    provider: Provider, *, state: str, secret: bytes, max_age_secs: int | None = None
) -> AuthorizationRequest:
    """Return the URL at which a person signs in (RFC 6749 §4.1.1, OpenID Connect Core §3.1.2.1).

    Args:
        state: the token.
        secret: of the cookie that binds the browser.
        max_age_secs: the greatest age of their sign-in there, in seconds; 0 asks for a new one,
            None for any.

    Raises:
        ProviderAwayError: the provider's discovery document cannot be had.
    """
    configuration = provider.configuration
    try:
        endpoint = _find_endpoint(provider, _begin(provider))
    except ProviderUnavailableError as error:
        _count(provider, error.fault)
        raise _explain(provider, error.reason) from error
    fields = {
        "response_type": "code",
        "client_id": configuration.client_id,
        "redirect_uri": callback_uri(provider.slug),
        "scope": " ".join(configuration.scopes),
        "state": state,
        "nonce": nonce_of(secret),
        "code_challenge": challenge_of(secret),
        "code_challenge_method": "S256",
        **_ask_for_age(configuration.preset, max_age_secs),
    }
    return AuthorizationRequest(endpoint=endpoint.url, fields=fields)


def _ask_for_age(preset: Preset, max_age_secs: int | None) -> dict[str, str]:
    """Return the parameters that ask for a recent sign-in.

    GitHub knows none. Google refuses `prompt=login`, and takes no notice of `max_age`.
    """
    if max_age_secs is None or preset is Preset.GITHUB:
        return {}
    is_new = max_age_secs == 0 and preset is not Preset.GOOGLE
    return {"max_age": str(max_age_secs), **({"prompt": "login"} if is_new else {})}


def redeem_answer(
    provider: Provider, answer: AuthorizationAnswer, *, secret: bytes, now: datetime
) -> ProviderAnswer:
    """Return a provider's claims about the person who comes back from it.

    Args:
        secret: of the cookie that binds the browser; the state named it.
        now: the current time.

    Raises:
        ProviderDeniedError: the person cancelled, or the provider refused.
        ProviderAwayError: the provider does not answer, is slow, or its answer fails a check.
        UnknownStateError: the provider is gone, or has another issuer by now.
    """
    try:
        conversation = _begin(provider)
        _require_issuer(provider, _find_endpoint(provider, conversation), answer)
        _require_code(provider, answer)
        return ask_provider(
            provider.configuration.preset,
            provider.configuration.issuer,
            _make_exchange(provider, answer.code, secret),
            conversation,
            nonce=nonce_of(secret),
            now=now,
        )
    except ProviderUnavailableError as error:
        _count(provider, error.fault)
        raise _explain(provider, error.reason) from error
    except UndecryptableError as error:
        raise _explain(provider, "no SECRET_KEY decrypts its client secret") from error
    except ProviderNotFoundError as error:
        raise UnknownStateError from error


def _begin(provider: Provider) -> Conversation:
    return UPSTREAM.get().begin(provider.configuration.issuer)


def _find_endpoint(provider: Provider, conversation: Conversation) -> Endpoint:
    configuration = provider.configuration
    return find_endpoint(configuration.preset, configuration.issuer, conversation)


def _require_issuer(provider: Provider, endpoint: Endpoint, answer: AuthorizationAnswer) -> None:
    """Refuse an answer that another provider gave (mix-up, RFC 9207 §2.4).

    Each provider has a redirect URI of its own besides (RFC 9700 §4.4.2.2).
    """
    configuration = provider.configuration
    if configuration.preset is Preset.GITHUB:
        # The registered issuer only separates its subjects from others; GitHub publishes none.
        return
    if answer.issuer and answer.issuer != configuration.issuer:
        raise ProviderUnavailableError("the answer names another issuer", AnswerFault.ISSUER)
    if endpoint.sends_issuer and not answer.issuer:
        raise ProviderUnavailableError("the answer names no issuer", AnswerFault.ISSUER)


def _require_code(provider: Provider, answer: AuthorizationAnswer) -> None:
    if answer.error == _ACCESS_DENIED:
        logger.info("sign-in denied by a provider", extra={"provider": provider.slug})
        raise ProviderDeniedError
    if answer.error:
        known = answer.error if answer.error in _KNOWN_ERRORS else "another error"
        raise ProviderUnavailableError(f"it answered with an error: {known}", AnswerFault.ERROR)
    if not answer.code:
        raise ProviderUnavailableError("the answer has no code", AnswerFault.FORM)


def _make_exchange(provider: Provider, code: str, secret: bytes) -> Exchange:
    return Exchange(
        client_id=provider.configuration.client_id,
        # The registry may have another issuer since this request began, and its secret.
        client_secret=read_secret(provider.slug, issuer=provider.configuration.issuer),
        code=code,
        verifier=verifier_of(secret),
        redirect_uri=callback_uri(provider.slug),
    )


def _count(provider: Provider, fault: AnswerFault | None) -> None:
    observe = FAULT_OBSERVER.find()
    if observe is not None and fault is not None:
        observe(provider.slug, fault)


def _explain(provider: Provider, reason: str) -> ProviderAwayError:
    """Log a failure for the operator, and return the error to raise."""
    extra = {"provider": provider.slug, "reason": reason}
    logger.warning("provider unavailable", extra=extra)
    return ProviderAwayError()
