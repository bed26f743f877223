"""The sessions of the account: where its user is signed in, and how that ends."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from flask import Response

from authserve.auth.browser_sessions import BrowserSession
from authserve.auth.logout import logout_everywhere
from authserve.core.frozen import frozen
from authserve.http.request_info import current_request_info
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import blueprint, link_to, redirect_with_notice
from authserve.pages.grant_fields import GrantsForm, find_ticked, list_boxes
from authserve.sessions.app_sessions import find_app_sessions
from authserve.sessions.client_names import find_client_names
from authserve.sessions.errors import SessionNotFoundError
from authserve.sessions.listing import SessionView, find_own_sessions
from authserve.sessions.policy import RevokeReason, SessionKind
from authserve.sessions.revoke import end_session, end_sessions
from authserve.settings.model import SETTINGS
from authserve.users.own_account import on_own_account
from authserve.web.access import (
    read_button,
    read_signed_in_form,
    require_no_fault,
    require_signed_in,
)
from authserve.web.browser_session import remove_session
from authserve.web.devices import find_icon, name_device
from authserve.web.languages import mark, translate
from authserve.web.notices import open_notice
from authserve.web.rendering import see_other

LIST = "pages.show_sessions"

END_ALL = GrantsForm()

_PROOFS = {
    "pwd": mark("password"),
    "otp": mark("app code"),
    "rcv": mark("recovery code"),
    "pop": mark("passkey"),
    "email": mark("mailed code"),
    "fed": mark("another service"),
}
"""The names of proofs (`core.levels.Proof`), by their value in `amr`."""


@frozen(kw_only=True)
class ListedSession:
    """A session as the page shows it.

    Args:
        device: browser and system in words.
        icon: a macro of `icons.html`.
        proofs: the proofs that its user gave, in words.
        is_current: True for the session of this browser, which has no button.
        is_of_program: True if a program holds it, not a browser's cookie.
        app: the name of the app that holds it; None for the user's own.
    """

    id: UUID
    device: str
    icon: str
    ip: str | None
    proofs: str
    created_at: datetime
    last_used_at: datetime
    is_current: bool
    is_of_program: bool
    app: str | None


def list_sessions(session: BrowserSession, *, limit: int | None = None) -> list[ListedSession]:
    """Return the live sessions of a browser's user: its own first, then by their last use.

    Args:
        limit: greatest number of sessions; None for all.
    """
    found = [*find_own_sessions(session.account.id), *_find_app_sessions(session)]
    current_id = session.cookie.session_id
    by_use = sorted(found, key=_last_use, reverse=True)
    own = [view for view in by_use if view.id == current_id]
    others = [view for view in by_use if view.id != current_id]
    shown = (own + others)[:limit]
    names = find_client_names(view.client_id for view in shown)
    return [_describe(view, names, is_current=view.id == current_id) for view in shown]


def _find_app_sessions(session: BrowserSession) -> list[SessionView]:
    """Return the sessions of apps; without the identity provider no app can use one."""
    is_on = "oidc" in SETTINGS.get().features
    return find_app_sessions(session.account.id) if is_on else []


def _last_use(view: SessionView) -> datetime:
    return view.last_used_at


def _describe(
    view: SessionView, app_names: Mapping[str, str], *, is_current: bool
) -> ListedSession:
    names = (translate(_PROOFS[value]) for value in view.amr if value in _PROOFS)
    return ListedSession(
        id=view.id,
        device=name_device(view.user_agent),
        icon=find_icon(view.user_agent),
        ip=view.ip,
        proofs=", ".join(names),
        created_at=view.created_at,
        last_used_at=view.last_used_at,
        is_current=is_current,
        is_of_program=view.kind != SessionKind.BROWSER,
        app=None if view.client_id is None else app_names[view.client_id],
    )


@blueprint.get("/account/sessions")
def show_sessions() -> Response:
    """Show where the user is signed in."""
    session = require_signed_in()
    done = open_notice("sessions")
    return account_page(
        "account_sessions.html",
        visitor=session,
        below=LIST,
        sessions=list_sessions(session),
        ended=done["ended"] if done is not None else None,
        is_after_stranger=open_notice("stranger") is not None,
    )


@blueprint.post("/account/sessions/<uuid:session_id>/end")
def end_one_session(session_id: UUID) -> Response:
    """End one session; one that has ended already, or is another user's, leads to the list too."""
    session = require_signed_in(back_to=LIST)
    read_button(session)
    try:
        end_session(
            session.actor.signed_in_user,
            session_id,
            RevokeReason.ENDED_BY_USER,
            actor=session.actor,
            request=current_request_info(),
        )
    except SessionNotFoundError:
        return see_other(link_to(LIST, ""))
    return _redirect_to_list(ended="one")


@blueprint.post("/account/sessions/end-others")
def end_other_sessions() -> Response:
    """End every session but this browser's."""
    session = require_signed_in(back_to=LIST)
    read_button(session)
    end_sessions(
        session.actor.signed_in_user,
        RevokeReason.ENDED_BY_USER,
        actor=session.actor,
        request=current_request_info(),
        keep=session.cookie.session_id,
    )
    return _redirect_to_list(ended="others")


def _redirect_to_list(*, ended: str) -> Response:
    return redirect_with_notice(LIST, notice="sessions", ended=ended)


@blueprint.get("/account/sessions/end-all")
def show_end_all() -> Response:
    """Ask whether to end every session, this browser's included."""
    return account_page(
        "account_sessions_end_all.html",
        visitor=require_signed_in(),
        below=LIST,
        boxes=list_boxes(),
    )


@blueprint.post("/account/sessions/end-all")
@on_own_account
def end_all_sessions() -> Response:
    """End every session, this browser's included."""
    session = require_signed_in()
    submission = read_signed_in_form(END_ALL, session)
    require_no_fault(submission)
    logout_everywhere(
        include=find_ticked(submission.values),
        actor=session.actor,
        request=current_request_info(),
    )
    response = see_other(link_to("pages.show_signed_out", ""))
    remove_session(response)
    return response
