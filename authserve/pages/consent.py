"""The page that asks whether an app may use the account."""

from datetime import timedelta

from flask import Response, request
from marshmallow import fields, validate

from authserve.auth.browser_sessions import BrowserSession
from authserve.clients.configuration import OFFLINE_SCOPE
from authserve.clients.redirect_uris import host_of
from authserve.core.clock import now
from authserve.http.request_info import current_request_info
from authserve.oidc.authorize import Authorization, review
from authserve.oidc.consents import give_consent, refuse_consent
from authserve.oidc.errors import AuthorizationError, UntrustedRequestError
from authserve.oidc.policy import AskConsent
from authserve.pages.blueprint import app_blueprint, link_to, page
from authserve.pages.scope_texts import describe_scopes
from authserve.web.access import read_signed_in_form, require_no_fault
from authserve.web.browser_session import find_signed_in
from authserve.web.continuation import (
    FIELD,
    Answer,
    Continuation,
    TargetKind,
    read_continuation,
    write_continuation,
)
from authserve.web.forms import SignedInForm, Submission
from authserve.web.languages import translate_plural
from authserve.web.rendering import see_other

ALLOW, REFUSE = "allow", "refuse"

_DAY = timedelta(days=1)


class ConsentForm(SignedInForm):
    """The answer about the scopes that the page has shown."""

    scope = fields.String(required=True)
    answer = fields.String(required=True, validate=validate.OneOf((ALLOW, REFUSE)))


FORM = ConsentForm()


@app_blueprint.get("/consent")
def show_consent() -> Response:
    """Show what an app asks for; redirect at once if no consent is needed now."""
    token = request.args.get(FIELD, "")
    session = find_signed_in()
    found = _review(token, session) if session is not None else None
    if session is None or found is None:
        # It is decided there, which also explains a fault of the request.
        return see_other(link_to("authorize.resume", token))
    authorization, asked = found
    return _show(authorization, asked, session, token)


@app_blueprint.post("/consent")
def answer_consent() -> Response:
    """Allow or refuse everything that the page has shown."""
    session = find_signed_in()
    if session is None:
        return see_other(link_to("pages.show_sign_in", ""))
    submission = read_signed_in_form(FORM, session)
    require_no_fault(submission)
    token = submission.values["continue_"]
    found = _review(token, session)
    if found is None:
        return see_other(link_to("pages.leave", token))
    answer = _record(submission, *found, session)
    return see_other(link_to("pages.leave", _answered(token, session, answer)))


def _review(token: str, session: BrowserSession) -> tuple[Authorization, AskConsent] | None:
    """Return an app's request if the person must be asked about it, else None."""
    target = read_continuation(token)
    if target is None or target.kind is not TargetKind.AUTHORIZE or target.is_expired:
        return None
    try:
        found = review(target.target, begun=target.begun or now(), visitor=session)
    except (UntrustedRequestError, AuthorizationError):
        return None
    return (found, found.decision) if isinstance(found.decision, AskConsent) else None


def _record(
    submission: Submission, found: Authorization, asked: AskConsent, session: BrowserSession
) -> Answer:
    actor, request_info = session.actor, current_request_info()
    if submission.values["answer"] == REFUSE:
        refuse_consent(client=found.client, actor=actor, request=request_info)
        return Answer.DENIED
    # What the person has gained since the page was shown is asked about anew.
    shown = set(submission.values["scope"].split())
    scopes = shown.intersection(asked.scopes)
    give_consent(
        scopes,
        client=found.client,
        session_id=session.cookie.session_id,
        actor=actor,
        request=request_info,
    )
    return Answer.ALLOWED


def _answered(token: str, session: BrowserSession, answer: Answer) -> str:
    """Return the token of a request with its answer, which counts in this session alone."""
    target = read_continuation(token)
    assert target is not None
    answered = Continuation(
        TargetKind.AUTHORIZE,
        target.target,
        session_id=session.cookie.session_id,
        begun=target.begun,
        answer=answer,
    )
    return write_continuation(answered) or token


def _show(found: Authorization, asked: AskConsent, session: BrowserSession, token: str) -> Response:
    client, account = found.client.configuration, session.account
    is_offline = OFFLINE_SCOPE in asked.scopes
    lifetimes, is_web = client.lifetimes, found.request.is_silent_safe
    ttl = lifetimes.absolute_offline if is_offline else lifetimes.absolute
    return page(
        "consent.html",
        visitor=session,
        form=Submission(given={"continue": token}),
        token=token,
        app=client.name,
        scope=" ".join(asked.scopes),
        scopes=describe_scopes(asked.scopes),
        # None for an installed app: its address is the person's own machine.
        host=host_of(found.request.target.redirect_uri) if is_web else None,
        is_offline=is_offline,
        lifetime=translate_plural("%(count)d day", "%(count)d days", -(-ttl // _DAY)),
        account=account.username or account.email,
    )
