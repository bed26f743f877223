"""Pending identities in the flow cookies of browsers.

The cookie also keeps the person's target, like the cookie of `provider_flow.py`.
"""

from dataclasses import field

from flask import Response, request

from authserve.core.actor import Actor
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.federation.errors import UnknownStateError
from authserve.federation.pending_identities import (
    PENDING_IDENTITY_TTL,
    PendingIdentity,
    read_pending_identity,
    write_pending_identity,
)
from authserve.federation.resolve_pending import find_identified
from authserve.pages.blueprint import link_to
from authserve.web.continuation import read_continuation
from authserve.web.flows import (
    FIELD,
    MAX_TOKEN_LENGTH,
    Flow,
    begin_flow,
    find_flow,
    find_flows,
    hold_flow,
)
from authserve.web.rendering import see_other

ADDRESS = "provider_pages.show_address"
"""The page that asks for the address of a new account."""

EMAIL_REQUIRED = "email_required"
"""The code that this page shows, and that logs and metrics count."""


@frozen(kw_only=True)
class HeldIdentity:
    """A pending identity that this browser holds.

    Args:
        flow: of the cookie.
        token: of the person's target; empty without one.
    """

    pending: PendingIdentity
    flow: Flow
    token: str = field(repr=False)


def redirect_to_question(
    endpoint: str, pending: PendingIdentity, token: str, *, is_remembered: bool
) -> Response:
    """Return the redirect to the page that asks about a new pending identity.

    Args:
        endpoint: of that page.
        token: of the person's target. It is dropped if it does not fit into the cookie beside the
            identity; the person then reaches their account instead.
        is_remembered: True if the person asked to be kept signed in.
    """
    target = token if read_continuation(token) is not None else ""
    flow = _begin(pending, target, is_remembered=is_remembered)
    response = see_other(link_to(endpoint, "", slug=pending.provider, **{FIELD: flow.id}))
    hold_flow(response, flow, ttl=PENDING_IDENTITY_TTL)
    return response


def hold_identity(response: Response, pending: PendingIdentity) -> None:
    """Keep the identity of a person who has to verify their address in a cookie of the browser.

    Args:
        pending: with the account that has the identity.
    """
    hold_flow(response, _begin(pending, "", is_remembered=False), ttl=PENDING_IDENTITY_TTL)


def _begin(pending: PendingIdentity, target: str, *, is_remembered: bool) -> Flow:
    written = write_pending_identity(pending, now=now())
    held = f"{written}.{target}"
    return begin_flow(
        held if len(held) <= MAX_TOKEN_LENGTH else f"{written}.", is_remembered=is_remembered
    )


def find_identified_person() -> Actor | None:
    """Return the person of the newest identity that `hold_identity` gave to this browser."""
    found = (
        find_identified(pending)
        for pending in map(_find_pending, find_flows())
        if pending is not None
    )
    return next((actor for actor in found if actor is not None), None)


def _find_pending(flow: Flow) -> PendingIdentity | None:
    try:
        return _read(flow).pending
    except UnknownStateError:
        return None


def get_held_identity(slug: str, *, has_account: bool) -> HeldIdentity:
    """Return the pending identity that the request's query names.

    Args:
        slug: of the provider in the request's path.
        has_account: True if an account has the address; False if a new account is needed.

    Raises:
        UnknownStateError: this browser holds none, or it has expired, or is another provider's or
            of the other kind.
    """
    flow = find_flow(request.args.get(FIELD, ""))
    if flow is None:
        raise UnknownStateError
    held = _read(flow)
    if held.pending.provider != slug or (held.pending.account_id is not None) != has_account:
        raise UnknownStateError
    return held


def _read(flow: Flow) -> HeldIdentity:
    # A signed token has three parts, and the target's follows (RFC 7515 §3.1).
    *parts, token = flow.token.split(".", 3)
    return HeldIdentity(
        pending=read_pending_identity(".".join(parts), now=now()), flow=flow, token=token
    )
