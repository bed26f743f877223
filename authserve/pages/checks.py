"""The checks of pages by `flask doctor`. There are few because the start refuses what is wrong."""

import re

from flask import current_app
from jinja2 import TemplateError

from authserve.core.brand import is_moved
from authserve.core.findings import Finding, Level
from authserve.settings.branding import OVERRIDES
from authserve.settings.model import Settings
from authserve.web.rendering import render_part

_INLINE = re.compile(r"<style|<script(?![^>]*\ssrc=)|<[^>]*\s(?:style|on[a-z]+)\s*=", re.IGNORECASE)
"""Markup that the Content-Security-Policy of pages refuses."""


def check_pages(settings: Settings) -> Finding:
    """Report what an app learns from a sign-in, and what pages do with the brand's colour."""
    message = "Pages are on."
    if "oidc" not in settings.features:
        message += " An app learns nothing from a sign-in on them: that needs the feature oidc."
    if not settings.return_urls:
        message += " RETURN_URLS is empty, so after signing in, people stay on the pages."
    if is_moved(settings.brand_color):
        message += (
            " BRAND_COLOR is shown darker than it is, since text in it could not be read on white."
        )
    return Finding("pages", Level.OK, message)


def check_page_templates(settings: Settings) -> Finding:
    """Check that the operator's parts of pages can be rendered, and that browsers show them."""
    name, folder = "page templates", settings.pages_templates
    own = sorted(part for part in OVERRIDES if folder is not None and (folder / part).is_file())
    if not own:
        return Finding(name, Level.OK, "PAGES_TEMPLATES adds nothing to pages.")
    rendered = {part: _render(part) for part in own}
    faults = [f"{part}: {fault}" for part, (_, fault) in rendered.items() if fault]
    if faults:
        message = f"No page can be shown, since these templates fail: {'; '.join(faults)}."
        return Finding(name, Level.FAILURE, message)
    refused = [part for part, (html, _) in rendered.items() if _INLINE.search(html)]
    if refused:
        message = f"Browsers ignore the inline styles and scripts in {', '.join(refused)}."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, f"PAGES_TEMPLATES adds {', '.join(own)} to every page.")


def _render(part: str) -> tuple[str, str]:
    """Return the HTML of a template and its fault; one of them is empty."""
    try:
        # A page's language is that of its request.
        with current_app.test_request_context("/"):
            return render_part(part), ""
    except (TemplateError, ArithmeticError, TypeError, ValueError, OSError) as error:
        return "", str(error) or type(error).__name__
