"""The overview of the account: how and where its user signs in, and what happened lately."""

from datetime import datetime
from uuid import UUID

from flask import Response

from authserve.audit.new_sign_ins import find_new_sign_in
from authserve.audit.own_events import find_activity
from authserve.auth.browser_sessions import BrowserSession
from authserve.core.clock import now
from authserve.core.frozen import frozen
from authserve.core.levels import Level
from authserve.mfa.factors import find_factors
from authserve.mfa.recovery_codes import CODES
from authserve.pages.account_activity import describe_event
from authserve.pages.account_navigation import account_page
from authserve.pages.account_sessions import list_sessions
from authserve.pages.blueprint import START, blueprint
from authserve.pages.grant_fields import list_boxes
from authserve.settings.model import SETTINGS, Mfa, Settings
from authserve.web.access import require_signed_in
from authserve.web.devices import name_device
from authserve.web.notices import open_notice
from authserve.web.sign_in_providers import find_linked_providers, find_sign_in_providers

RECENT_EVENTS, RECENT_SESSIONS = 5, 4
"""Rows of the lists (chosen); a link leads to the whole list."""


@frozen()
class Question:
    """A sign-in from a new device, of which the page asks whose it was.

    Args:
        id: of its event.
        device: browser and system, in words.
    """

    id: UUID
    device: str
    ip: str | None
    occurred_at: datetime


@blueprint.get("/account")
def show_account() -> Response:
    """Show the overview; redirect a person who is not signed in to the form, and back."""
    session, settings = require_signed_in(), SETTINGS.get()
    events = find_activity(session.actor.signed_in_user, limit=RECENT_EVENTS)
    return account_page(
        "account.html",
        visitor=session,
        below=START,
        account=session.account,
        is_answered=open_notice("sign-in-seen") is not None,
        question=_find_question(session),
        boxes=list_boxes(),
        enroll_by=_find_deadline(session, settings),
        factors=find_factors(session.account.id),
        has_services=bool(find_sign_in_providers()),
        linked_services=find_linked_providers(session.account.id),
        may_add=settings.mfa is not Mfa.OFF or session.account.mfa_enabled,
        has_passkeys=bool(settings.passkey_rp_id),
        all_codes=CODES,
        sessions=list_sessions(session, limit=RECENT_SESSIONS),
        events=[describe_event(event) for event in events],
    )


def _find_deadline(session: BrowserSession, settings: Settings) -> datetime | None:
    """Return the time from which a session of one factor is not enough any more, or None.

    The API returns it with the tokens of each sign-in. From then on no such session opens pages.
    """
    is_asked = settings.mfa is Mfa.REQUIRED and session.actor.level < Level.AAL2
    return settings.mfa_enroll_by if is_asked else None


def _find_question(session: BrowserSession) -> Question | None:
    found = find_new_sign_in(
        session.actor.signed_in_user,
        seen_at=session.activity_seen_at,
        asking_id=session.cookie.session_id,
        now=now(),
    )
    if found is None:
        return None
    return Question(found.id, name_device(found.user_agent), found.ip, found.occurred_at)
