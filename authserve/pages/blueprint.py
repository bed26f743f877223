"""The blueprints of all pages, and what every page is given.

The modules of the pages add their views to it; `routes.py` imports them. It is small because they
would otherwise import each other.
"""

from typing import Any

from flask import Blueprint, Response, abort, has_request_context, request, url_for

from authserve.auth.browser_sessions import BrowserSession
from authserve.web.browser_session import form_token
from authserve.web.continuation import (
    FIELD,
    Continuation,
    TargetKind,
    page_path,
    read_continuation,
    to_return,
    write_continuation,
)
from authserve.web.forms import Submission
from authserve.web.languages import FIELD as LANGUAGE
from authserve.web.languages import query_language
from authserve.web.notices import FIELD as NOTICE
from authserve.web.notices import seal_notice
from authserve.web.rendering import render, see_other

blueprint = Blueprint("pages", __name__)

app_blueprint = Blueprint("app_pages", __name__)
"""The blueprint of the pages about apps, which exist only with the identity provider."""

key_blueprint = Blueprint("key_pages", __name__)
"""The blueprint of the pages about API keys, which exist only with that feature."""

provider_blueprint = Blueprint("provider_pages", __name__)
"""The blueprint of the pages of sign-in by other providers, which exist only with that feature."""


@blueprint.url_defaults
@app_blueprint.url_defaults
@key_blueprint.url_defaults
@provider_blueprint.url_defaults
def keep_query_language(_endpoint: str, values: dict[str, Any]) -> None:
    """Keep the language that the current query asks for in the paths of other pages."""
    language = query_language() if has_request_context() else None
    if language is not None:
        values.setdefault(LANGUAGE, language)


START = "pages.show_account"
"""The page that a person reaches who has no other target."""


def query_continuation() -> str:
    """Return the token of the request's target; empty text without a valid one."""
    token = request.args.get(FIELD, "")
    return token if token and read_continuation(token) is not None else ""


def query_target() -> str:
    """Return the token of the request's target, which may also be a plain address.

    For the pages to which apps lead people; all others get the token from these.
    """
    address = request.args.get("return_to", "")
    if FIELD in request.args or not address:
        return query_continuation()
    target = to_return(address)
    return (write_continuation(target) or "") if target is not None else ""


def link_to(endpoint: str, token: str, **values: str) -> str:
    """Return the path of a page that carries the token of a target, if there is one."""
    arguments: dict[str, Any] = {**values, **({FIELD: token} if token else {})}
    return url_for(endpoint, **arguments)


def path_to_target(token: str) -> str:
    """Return the path on which a signed-in person goes on to the target of a token."""
    found = read_continuation(token)
    if found is None:
        return url_for(START)
    if found.kind is not TargetKind.PAGE:
        return link_to("pages.leave", token)
    return _page_of(found)


def redirect_to_target(token: str) -> Response:
    """Return the redirect of a signed-in person to the target of a token."""
    return see_other(path_to_target(token))


def redirect_with_notice(endpoint: str, *, notice: str, token: str = "", **values: str) -> Response:
    """Return the redirect after a form, to a page that says what was done.

    Args:
        endpoint: of the page.
        notice: the kind of notice that the page opens.
        token: of the person's target, if the page leads on to it.
        values: of the notice.
    """
    return see_other(link_to(endpoint, token, **{NOTICE: seal_notice(notice, **values)}))


def _page_of(found: Continuation) -> str:
    path = None if found.is_expired else page_path(found)
    return path or url_for(START)


def abort_404_unless(is_on: bool) -> None:
    """End the request as for a page that does not exist, unless the settings switch it on."""
    if not is_on:
        abort(404)


def page(
    template: str,
    *,
    visitor: BrowserSession | None = None,
    form: Submission | None = None,
    **values: Any,
) -> Response:
    """Return a page.

    Args:
        visitor: the signed-in person that it is for.
        form: the form that it shows, with the status and the headers of the answer.
        values: see `web.rendering.render`.
    """
    token = form_token(visitor) if visitor is not None else ""
    if form is not None:
        values = {"status": form.status, "headers": form.headers, "form": form, **values}
    return render(template, visitor=visitor, form_token=token, link_to=link_to, **values)
