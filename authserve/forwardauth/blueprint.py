"""The blueprint of forward authentication, and the checks that all its calls share.

It is small because the call of proxies and the pages would otherwise import each other.
"""

import logging

from flask import Blueprint, Response, request

from authserve.forwardauth.errors import ForeignPeerError
from authserve.forwardauth.policy import CALLBACK_PREFIX, is_allowed_peer, read_origin
from authserve.http.middleware import refuse_late
from authserve.http.request_info import peer_address, request_state
from authserve.settings.model import SETTINGS
from authserve.web.assets import send_asset

logger = logging.getLogger(__name__)

blueprint = Blueprint("forward_auth", __name__)


@blueprint.before_request
def require_proxy() -> None:
    """Refuse a late call, and one that does not come from a proxy of the operator.

    The machine that connected counts: clients can forge `X-Forwarded-For`.

    Raises:
        ForeignPeerError: the peer is in none of `FORWARD_AUTH_NETWORKS`.
    """
    refuse_late()
    peer = peer_address()
    if not is_allowed_peer(peer, SETTINGS.get().forward_auth_networks):
        extra = {"peer": peer, "add_to": "FORWARD_AUTH_NETWORKS"}
        logger.warning("call of forward-auth by a foreign peer", extra=extra)
        raise ForeignPeerError
    if request.path.startswith(CALLBACK_PREFIX):
        # The application's host has our files below our prefix.
        request_state().asset_root = CALLBACK_PREFIX.rstrip("/")


@blueprint.after_request
def forbid_caching(response: Response) -> Response:
    """Forbid caches to keep an answer, refusals included: each depends on the cookie."""
    response.headers.setdefault("Cache-Control", "no-store")
    return response


def request_origin() -> str:
    """Return the origin of the application that the proxy's request is about."""
    headers = request.headers
    return read_origin(headers.get("X-Forwarded-Proto", ""), headers.get("X-Forwarded-Host", ""))


blueprint.add_url_rule(f"{CALLBACK_PREFIX}pages/<name>", view_func=send_asset)
