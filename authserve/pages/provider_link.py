"""Linking: a signed-in person goes to a provider, and its identity becomes the account's.

The state names the session that has asked. The same session must be this browser's when the person
comes back, so that no answer is linked to an account that did not ask for it.
"""

from typing import Any

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.federation.errors import UnknownStateError
from authserve.federation.flow import get_open_provider
from authserve.federation.linking import link_own_identity
from authserve.federation.policy import Link
from authserve.federation.sign_in import NextStep, ProviderReturn
from authserve.federation.state import Purpose, State
from authserve.http.limits import limited
from authserve.mfa.switch import level_for_change_by
from authserve.pages.account_connections import LIST
from authserve.pages.account_identities import redirect_to_connections
from authserve.pages.provider_flow import begin_provider_flow
from authserve.ratelimit.policy import PROVIDER_STARTS
from authserve.users.own_account import on_own_account
from authserve.web.access import (
    require_form_token,
    require_fresh,
    require_no_fault,
    require_signed_in,
)
from authserve.web.browser_session import find_signed_in
from authserve.web.forms import Submission


def begin_link(submission: Submission, *, slug: str) -> Response:
    """Begin a link to the account of the signed-in person, who gave a recent proof.

    Args:
        submission: a button of the account's pages, with the token of the session.

    Raises:
        ForeignFormError, ValidationFailedError: no page of ours has sent it.
    """
    session = require_signed_in(back_to=LIST)
    require_form_token(session, submission.given.get("token", ""))
    require_no_fault(submission)
    require_fresh(session, level=level_for_change_by(session.actor), back_to=LIST)
    return _begin(submission.values, slug=slug, session=session)


@limited(PROVIDER_STARTS)
def _begin(_values: dict[str, Any], *, slug: str, session: BrowserSession) -> Response:
    return begin_provider_flow(
        get_open_provider(slug),
        "",
        purpose=Purpose.LINK,
        session_id=session.cookie.session_id,
    )


def get_linking_session(state: State) -> BrowserSession:
    """Return the session that has asked for a link, which must be this browser's.

    Raises:
        UnknownStateError: it has ended, or the browser has another one.
    """
    session = find_signed_in()
    if session is None or session.cookie.session_id != state.session_id:
        raise UnknownStateError
    return session


@on_own_account
def complete_link(returned: ProviderReturn, step: NextStep, session: BrowserSession) -> Response:
    """Link the identity, unless it is the account's already, and redirect to the connections."""
    if isinstance(step, Link):
        link_own_identity(
            returned.identity,
            provider=returned.provider,
            actor=session.actor,
            request=returned.request,
        )
    return redirect_to_connections("linked")
