"""A browser's way to a provider and back: the state in its URL, and the cookie that binds it.

The cookie keeps the secret, and the person's target, which does not fit into a URL beside a state.
"""

from dataclasses import field
from uuid import UUID

from flask import Response

from authserve.core.base64url import decode_base64url, encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import random_bytes
from authserve.core.frozen import frozen
from authserve.federation.errors import UnknownStateError
from authserve.federation.flow import get_open_provider
from authserve.federation.registry import Provider
from authserve.federation.state import (
    SECRET_BYTES,
    Purpose,
    State,
    bind,
    read_state,
    write_state,
)
from authserve.pages.blueprint import link_to
from authserve.web.continuation import read_continuation
from authserve.web.flows import Flow, begin_flow, find_flow, hold_flow
from authserve.web.languages import query_language
from authserve.web.rendering import WITHOUT_REFERRER, see_other

STATE_FIELD = "state"
"""The parameter of a state in URLs (RFC 6749 §4.1.1)."""

LEAVE = "provider_pages.leave_to_provider"
"""The page from which the browser goes on to the provider."""


@frozen(kw_only=True)
class ProviderFlow:
    """A way to a provider that this browser has begun.

    Args:
        flow: of the cookie.
        secret: that the state is bound to.
        provider: with the issuer at which the way began.
        token: of the person's target; empty without one.
    """

    state: State
    provider: Provider
    flow: Flow
    secret: bytes = field(repr=False)
    token: str = field(repr=False)


def begin_provider_flow(
    provider: Provider,
    token: str,
    *,
    purpose: Purpose,
    session_id: UUID | None = None,
    is_remembered: bool = False,
) -> Response:
    """Return the redirect to the page from which the browser goes on to a provider.

    Args:
        token: of the person's target.
        session_id: see `State`.
        is_remembered: True if the person asked to be kept signed in.
    """
    secret = random_bytes(SECRET_BYTES)
    held = f"{encode_base64url(secret)}.{token if read_continuation(token) is not None else ''}"
    flow = begin_flow(held, is_remembered=is_remembered)
    state = State(
        provider=provider.slug,
        flow_id=flow.id,
        purpose=purpose,
        binding=bind(secret, provider.configuration.issuer),
        session_id=session_id,
        language=query_language() or "",
    )
    path = link_to(LEAVE, "", slug=provider.slug, state=write_state(state, now=now()))
    response = see_other(path, referrer_policy=WITHOUT_REFERRER)
    hold_flow(response, flow)
    return response


def get_provider_flow(slug: str, state_token: str) -> ProviderFlow:
    """Return the way that a state names.

    Args:
        slug: of the provider in the request's path.

    Raises:
        UnknownStateError: the state is none, another provider's or issuer's, or not of this
            browser.
        ProviderNotFoundError: there is no such provider any more.
    """
    state = read_state(state_token, now=now())
    flow = find_flow(state.flow_id)
    if flow is None or state.provider != slug:
        raise UnknownStateError
    text, _, token = flow.token.partition(".")
    secret, provider = _decode(text), get_open_provider(slug)
    if not state.is_bound_to(secret, provider.configuration.issuer):
        raise UnknownStateError
    return ProviderFlow(state=state, flow=flow, provider=provider, secret=secret, token=token)


def _decode(text: str) -> bytes:
    try:
        return decode_base64url(text)
    except ValueError:
        return b""
