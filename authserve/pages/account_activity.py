"""The activity of the account: its events in words, and the answer about a new sign-in."""

from datetime import datetime
from uuid import UUID

from flask import Response, request
from marshmallow import ValidationError, fields, validate

from authserve.audit.new_sign_ins import answer_new_sign_in
from authserve.audit.own_events import ActivityEvent, find_activity
from authserve.auth.browser_sessions import BrowserSession
from authserve.core.errors import ValidationFailedError
from authserve.core.events import Outcome
from authserve.core.frozen import frozen
from authserve.http.pagination import DEFAULT_LIMIT, PageQuerySchema, make_page
from authserve.http.request_info import current_request_info
from authserve.pages.account_navigation import account_page
from authserve.pages.blueprint import START, blueprint, redirect_with_notice
from authserve.pages.event_texts import describe_action, find_event_icon
from authserve.pages.grant_fields import GrantsForm, find_ticked
from authserve.users.own_account import on_own_account
from authserve.web.access import read_signed_in_form, require_signed_in
from authserve.web.continuation import Continuation, TargetKind, write_continuation
from authserve.web.devices import name_device
from authserve.web.languages import mark, translate

LIST = "pages.show_activity"

MINE, STRANGER = "mine", "stranger"

QUERY = PageQuerySchema(only=("cursor",))


class AnswerForm(GrantsForm):
    """The answer to the question about a new sign-in, which its event's id names."""

    sign_in = fields.UUID(required=True)
    answer = fields.String(required=True, validate=validate.OneOf((MINE, STRANGER)))


FORM = AnswerForm()


@frozen(kw_only=True)
class ListedEvent:
    """An event as pages show it.

    Args:
        icon: a macro of `icons.html`.
        is_failure: True for a failed attempt.
        origin: who or what caused it, in words; may be empty.
        ip: the address that it came from; None if the user may not see one.
        reference: the correlation id, which an operator finds the request by.
    """

    text: str
    icon: str
    is_failure: bool
    origin: str
    ip: str | None
    occurred_at: datetime
    reference: str | None


def describe_event(event: ActivityEvent) -> ListedEvent:
    """Return an event in words."""
    return ListedEvent(
        text=describe_action(event),
        icon=find_event_icon(event),
        is_failure=event.outcome == Outcome.FAILURE,
        origin=_describe_origin(event),
        ip=event.ip,
        occurred_at=event.occurred_at,
        reference=event.correlation_id,
    )


def _describe_origin(event: ActivityEvent) -> str:
    if event.is_by_another:
        return translate(mark("By an administrator"))
    if event.ip is None:
        # Commands name themselves as the user agent; the worker and erased events have none.
        return translate(mark("By the operator of this service")) if event.user_agent else ""
    return name_device(event.user_agent)


@blueprint.get("/account/activity")
def show_activity() -> Response:
    """Show what happened to the account and what its user did, newest first."""
    session, before = require_signed_in(), _read_cursor()
    found = find_activity(session.actor.signed_in_user, limit=DEFAULT_LIMIT + 1, before=before)
    page = make_page(found, limit=DEFAULT_LIMIT, key=_id_of)
    return account_page(
        "account_activity.html",
        visitor=session,
        below=LIST,
        events=[describe_event(event) for event in page.items],
        next_cursor=page.next_cursor,
        is_first=before is None,
    )


def _id_of(event: ActivityEvent) -> UUID:
    return event.id


def _read_cursor() -> UUID | None:
    """Return the position to continue from; None, the beginning, also for what is no cursor."""
    try:
        cursor: UUID | None = QUERY.load({"cursor": request.args.get("cursor")})["cursor"]
    except ValidationError:
        return None
    return cursor


@blueprint.post("/account/activity/answer")
@on_own_account
def answer_activity() -> Response:
    """Record the answer about a new sign-in; end a stranger's, and redirect to a new password."""
    session = require_signed_in(back_to=START)
    submission = read_signed_in_form(FORM, session)
    if submission.faults:
        raise ValidationFailedError(submission.faults)
    is_own = submission.values["answer"] == MINE
    answer_new_sign_in(
        submission.values["sign_in"],
        is_own=is_own,
        include=find_ticked(submission.values),
        actor=session.actor,
        request=current_request_info(),
    )
    if is_own:
        return redirect_with_notice(START, notice="sign-in-seen")
    return _redirect_to_new_password(session)


def _redirect_to_new_password(session: BrowserSession) -> Response:
    """Redirect to a new password, since a stranger knows this one, then to the other sessions."""
    if not session.has_password:
        return redirect_with_notice("pages.show_sessions", notice="stranger")
    target = Continuation(TargetKind.PAGE, "pages.show_sessions")
    token = write_continuation(target) or ""
    return redirect_with_notice("pages.show_password", notice="stranger", token=token)
