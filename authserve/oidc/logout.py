"""Sign-out that an app asks for (OpenID Connect RP-Initiated Logout 1.0).

A `client_id` proves nothing. Only a hint shows that an app knows the user. So only a request with a
hint signs the browser out at once, and returns it to the app.
"""

from collections.abc import Mapping

from authserve.auth.browser_sessions import BrowserSession, sign_browser_out
from authserve.clients.redirect_uris import is_registered
from authserve.clients.registry import find_client
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.frozen import frozen
from authserve.database.transactions import transaction
from authserve.oidc.hints import Hint, read_hint
from authserve.oidc.queries import find_hinted_session
from authserve.sessions.policy import RevokeReason
from authserve.sessions.revoke import end_session_if_live
from authserve.settings.model import SETTINGS

CLIENT, ADDRESS, STATE, HINT = "client_id", "post_logout_redirect_uri", "state", "id_token_hint"
"""The parameters of a request that have an effect (§2)."""


@frozen(kw_only=True)
class WayBack:
    """The registered address of an app to which a signed-out browser may return.

    Args:
        state: as the app sent it; None if it sent none.
    """

    client_id: str
    uri: str
    state: str | None

    @property
    def parameters(self) -> dict[str, str]:
        """The parameters of a request from which `find_way_back` finds it again."""
        named = {CLIENT: self.client_id, ADDRESS: self.uri, STATE: self.state}
        return {name: value for name, value in named.items() if value is not None}


@frozen()
class LogoutRequest:
    """A request as far as it can be trusted.

    Args:
        hint: None without a valid one.
        way_back: None if the hint's app has not registered the address.
    """

    hint: Hint | None
    way_back: WayBack | None


def read_logout(parameters: Mapping[str, str]) -> LogoutRequest:
    """Return what a request asks for, without the parts that cannot be verified."""
    hint = read_hint(parameters.get(HINT, ""), issuer=SETTINGS.get().public_url)
    if hint is None or parameters.get(CLIENT, hint.client_id) != hint.client_id:
        return LogoutRequest(None, None)
    return LogoutRequest(hint, find_way_back({**parameters, CLIENT: hint.client_id}))


def find_way_back(parameters: Mapping[str, str]) -> WayBack | None:
    """Return the address that a request names, or None if its client has no such address now.

    Args:
        parameters: with a `client_id` that the caller trusts.
    """
    uri, client = parameters.get(ADDRESS), find_client(parameters.get(CLIENT, ""))
    if uri is None or client is None or not client.configuration.enabled:
        return None
    configuration = client.configuration
    if not is_registered(uri, configuration.post_logout_redirect_uris, kind=configuration.kind):
        return None
    return WayBack(client_id=client.client_id, uri=uri, state=parameters.get(STATE))


def sign_out_by_hint(hint: Hint, *, visitor: BrowserSession | None, request: RequestInfo) -> bool:
    """End the browser's session in which an app got a hint, with the online sessions of apps.

    Args:
        visitor: of the browser that brings the hint; None if it is not signed in, so that a
            browser that has lost its cookie can still end the session.

    Returns:
        False if the browser is signed in by another session: its user has to confirm.
    """
    found = find_hinted_session(hint.session_id, hint.user_id)
    if visitor is not None:
        if found is None or found.parent_id != visitor.cookie.session_id:
            return False
        sign_browser_out(visitor, request=request)
    elif found is not None:
        with transaction():
            end_session_if_live(
                found.user, found.parent_id, RevokeReason.LOGOUT, actor=VISITOR, request=request
            )
    return True
