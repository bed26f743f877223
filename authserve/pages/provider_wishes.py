"""Identities that wait for their person, in the flow cookies of browsers.

The cookie keeps the person's target too, as that of a way to a provider does.
"""

from dataclasses import field

from flask import Response, request

from authserve.core.actor import Actor
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.federation.errors import UnknownStateError
from authserve.federation.wished_accounts import find_identified
from authserve.federation.wishes import WISH_TTL, Wish, read_wish, write_wish
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
class HeldWish:
    """An identity that waits for this browser's person.

    Args:
        flow: of the cookie.
        token: of the person's target; empty without one.
    """

    wish: Wish
    flow: Flow
    token: str = field(repr=False)


def lead_to_question(endpoint: str, wish: Wish, token: str, *, is_remembered: bool) -> Response:
    """Return the redirect to the page that asks the person of a new wish.

    Args:
        endpoint: of that page.
        token: of the person's target. It is dropped if it does not fit into the cookie, which takes
            a long target beside a wish of over 900 characters: the person reaches their account
            instead.
        is_remembered: True if the person asked to be kept signed in.
    """
    target = token if read_continuation(token) is not None else ""
    flow = _begin(wish, target, is_remembered=is_remembered)
    response = see_other(link_to(endpoint, "", slug=wish.provider, **{FIELD: flow.id}))
    hold_flow(response, flow, ttl=WISH_TTL)
    return response


def hold_identity(response: Response, wish: Wish) -> None:
    """Keep the identity of a person who has to verify their address in a cookie of the browser.

    Args:
        wish: with the account that has the identity.
    """
    hold_flow(response, _begin(wish, "", is_remembered=False), ttl=WISH_TTL)


def _begin(wish: Wish, target: str, *, is_remembered: bool) -> Flow:
    written = write_wish(wish, now=now())
    held = f"{written}.{target}"
    return begin_flow(
        held if len(held) <= MAX_TOKEN_LENGTH else f"{written}.", is_remembered=is_remembered
    )


def find_identified_person() -> Actor | None:
    """Return the person of the newest identity that `hold_identity` gave to this browser."""
    found = (find_identified(wish) for wish in map(_find_wish, find_flows()) if wish is not None)
    return next((actor for actor in found if actor is not None), None)


def _find_wish(flow: Flow) -> Wish | None:
    try:
        return _read(flow).wish
    except UnknownStateError:
        return None


def get_held_wish(slug: str, *, has_account: bool) -> HeldWish:
    """Return the wish that the request's query names.

    Args:
        slug: of the provider in the request's path.
        has_account: True for a wish that an account has the address of; False for a new account.

    Raises:
        UnknownStateError: this browser holds none, or it has expired, or is another provider's or
            of the other kind.
    """
    flow = find_flow(request.args.get(FIELD, ""))
    if flow is None:
        raise UnknownStateError
    held = _read(flow)
    if held.wish.provider != slug or (held.wish.account_id is not None) != has_account:
        raise UnknownStateError
    return held


def _read(flow: Flow) -> HeldWish:
    # A signed token has three parts, and the target's follows (RFC 7515 §3.1).
    *parts, token = flow.token.split(".", 3)
    return HeldWish(wish=read_wish(".".join(parts), now=now()), flow=flow, token=token)
