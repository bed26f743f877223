"""The start of a sign-in by another provider: a form of ours, and the page that goes on to it.

The form does not lead there by itself, since `form-action 'self'` holds for its redirects too (see
`leave.py`). The page's GET stores nothing, and without the browser's own cookie it leads nowhere.
"""

from functools import partial
from typing import Any
from urllib.parse import urlsplit

from flask import Response, request
from marshmallow import fields

from authserve.federation.errors import ProviderAwayError
from authserve.federation.flow import get_open_provider, make_request
from authserve.federation.state import Purpose
from authserve.http.limits import limited
from authserve.pages.blueprint import link_to, page, provider_blueprint
from authserve.pages.provider_flow import (
    STATE_FIELD,
    ProviderFlow,
    begin_provider_flow,
    get_provider_flow,
)
from authserve.pages.provider_link import begin_link
from authserve.pages.provider_refusals import show_refusal
from authserve.pages.sign_in import WAIT, show_form
from authserve.ratelimit.errors import RateLimitedError
from authserve.ratelimit.policy import PROVIDER_STARTS
from authserve.web.browser_session import find_visitor
from authserve.web.continuation import read_continuation
from authserve.web.forms import Checkbox, Explanation, Explanations, SignedInForm, read_form, submit
from authserve.web.languages import resume_language
from authserve.web.rendering import WITHOUT_REFERRER, add_query, see_other


class ProviderForm(SignedInForm):
    """A button of the page to sign in, or of the account's pages, which asks for a link."""

    remember = Checkbox()
    purpose = fields.Enum(Purpose, by_value=True, load_default=Purpose.SIGN_IN)


FORM = ProviderForm()

EXPLANATIONS: Explanations = {RateLimitedError: Explanation(WAIT)}


@provider_blueprint.post("/sign-in/with/<slug>")
def sign_in_with_provider(slug: str) -> Response:
    """Begin a sign-in by a provider, or a link to the account of a signed-in person."""
    submission = read_form(FORM)
    if submission.given.get("purpose") == Purpose.LINK:
        return begin_link(submission, slug=slug)
    act = partial(_begin, slug=slug)
    return submit(submission, act, show=show_form, explanations=EXPLANATIONS)


@limited(PROVIDER_STARTS)
def _begin(values: dict[str, Any], *, slug: str) -> Response:
    return begin_provider_flow(
        get_open_provider(slug),
        values["continue_"],
        purpose=Purpose.SIGN_IN,
        is_remembered=values["remember"],
    )


@provider_blueprint.get("/sign-in/with/<slug>")
def leave_to_provider(slug: str) -> Response:
    """Show the page from which the browser goes on to the provider.

    Raises:
        UnknownStateError, ProviderNotFoundError: see `get_provider_flow`.
    """
    token = request.args.get(STATE_FIELD, "")
    if not token:
        # A refused form was shown here, and its page is loaded again.
        return see_other(link_to("pages.show_sign_in", ""))
    found = get_provider_flow(slug, token)
    resume_language(found.state.language)
    try:
        asked = make_request(
            found.provider, state=token, secret=found.secret, max_age_secs=_find_max_age(found)
        )
    except ProviderAwayError as error:
        return show_refusal(error, token=found.token, provider=found.provider)
    return page(
        "leave.html",
        referrer_policy=WITHOUT_REFERRER,
        address=add_query(asked.endpoint, asked.fields),
        host=urlsplit(asked.endpoint).hostname,
    )


def _find_max_age(found: ProviderFlow) -> int | None:
    """Return how old the sign-in there may be, in seconds; None if any age will do.

    A signed-in person gives a proof again, for which the provider's own session is none.
    """
    if found.state.purpose is Purpose.LINK:
        return None
    if find_visitor() is not None:
        return 0
    target = read_continuation(found.token)
    return target.max_age_secs if target is not None else None
