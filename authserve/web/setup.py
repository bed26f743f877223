"""Addition of pages to an application: templates, files, error pages, and each request's checks."""

from collections.abc import Collection, Sequence

from flask import Blueprint, Flask, Response, request

from authserve.core.errors import (
    ReauthenticationRequiredError,
    SessionRevokedError,
    StepUpRequiredError,
    TokenExpiredError,
)
from authserve.http.errors import ERROR_PAGE
from authserve.http.limits import count_call
from authserve.http.middleware import refuse_late
from authserve.ratelimit.policy import PAGE_POSTS
from authserve.settings.model import SETTINGS
from authserve.web.access import redirect_signed_out, redirect_to_proof
from authserve.web.assets import ASSETS, read_assets
from authserve.web.assets import blueprint as assets_blueprint
from authserve.web.browser_session import ignore_cookies, remove_dead_session
from authserve.web.error_pages import show_error
from authserve.web.languages import note_language_for_mails
from authserve.web.origin import read_form_origin, redirect_to_public_name, require_own_form
from authserve.web.rendering import TEMPLATES, make_templates


def add_web(app: Flask, *, packages: Sequence[str]) -> None:
    """Add what all pages share to an application.

    Args:
        packages: those with templates, beside this one.
    """
    settings = SETTINGS.of(app)
    ASSETS.fill(app, read_assets(settings))
    TEMPLATES.fill(app, make_templates(settings, [*packages, "authserve.web"]))
    ERROR_PAGE.fill(app, show_error)
    app.register_blueprint(assets_blueprint)


def guard_pages(blueprint: Blueprint, *, secret_links: Collection[str]) -> None:
    """Check every request to the pages of a blueprint before its view runs.

    Args:
        secret_links: endpoints of the pages that mailed links lead to.
    """

    def check() -> Response | None:
        refuse_late()
        if request.method == "POST":
            _check_form(is_secret_link=request.endpoint in secret_links)
            note_language_for_mails()
            return None
        return redirect_to_public_name()

    blueprint.before_request(check)
    blueprint.after_request(remove_dead_session)
    for ended in (SessionRevokedError, TokenExpiredError):
        blueprint.register_error_handler(ended, redirect_signed_out)
    for unproven in (StepUpRequiredError, ReauthenticationRequiredError):
        blueprint.register_error_handler(unproven, redirect_to_proof)


def _check_form(*, is_secret_link: bool) -> None:
    require_own_form(accepts_unknown=is_secret_link)
    if is_secret_link and read_form_origin().is_unknown:
        ignore_cookies()
    if SETTINGS.get().ratelimit_enabled:
        count_call([PAGE_POSTS], ())
