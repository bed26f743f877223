"""HTML pages from templates, with headers that allow nothing but the service's own files."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from importlib.util import cache_from_source
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemBytecodeCache,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    select_autoescape,
)
from jinja2.bccache import Bucket
from markupsafe import Markup

from authserve.core.clock import to_rfc3339
from authserve.core.container import Slot
from authserve.core.frozen import frozen
from authserve.core.languages import text_direction
from authserve.http.request_info import find_request_state
from authserve.settings.branding import OVERRIDES
from authserve.settings.model import Settings, brand_name
from authserve.web.assets import ASSETS
from authserve.web.language_switch import find_switch
from authserve.web.languages import add_texts, keep_language, page_language

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""No inline style or script, no other host, no frame; scripts insert text alone (ASVS 3.4.3)."""

PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}

WITH_ORIGIN = "same-origin"
"""Referrer-Policy of pages with forms: under `no-referrer` browsers send `Origin: null`."""

WITHOUT_REFERRER = "no-referrer"
"""Referrer-Policy of pages that a secret link leads to, or that lead to another site."""

TEMPLATES = Slot[Environment]("templates")


@frozen()
class Brand:
    """The operator's look, for templates.

    Args:
        support_url: empty if the operator names none, like the two others.
    """

    name: str
    has_own_logo: bool
    terms_url: str
    privacy_url: str
    support_url: str


class CompiledTemplates(FileSystemBytecodeCache):
    """The compiled templates, kept where Python keeps the bytecode of this package.

    Compiling all of them takes half a second and leaves 7 MB of fragmented memory in each worker;
    loading them takes 30 ms (measured). A template that has changed is compiled again.
    """

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template; if the file system refuses, the next process compiles it again."""
        with suppress(OSError):
            super().dump_bytecode(bucket)


def _find_compiled_templates() -> CompiledTemplates | None:
    """Return the place of compiled templates; None where no bytecode is to be written."""
    if sys.dont_write_bytecode:
        return None
    folder = Path(cache_from_source(__file__)).with_name("templates")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return CompiledTemplates(str(folder))


def load_templates(app: Flask) -> None:
    """Load every template of an application, so that processes forked from here share them.

    Where compiled templates are not kept, nothing is loaded: compiling all of them would double the
    time of a start.
    """
    environment = TEMPLATES.of(app)
    if environment.bytecode_cache is None:
        return
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)


def make_templates(settings: Settings, packages: Sequence[str]) -> Environment:
    """Return the templates of packages; an operator's folder replaces those of `OVERRIDES`.

    Args:
        packages: the packages whose folder `templates` is searched, in this order.
    """
    loaders: list[BaseLoader] = [PackageLoader(package) for package in packages]
    if settings.pages_templates is not None:
        loaders.insert(0, FileSystemLoader(settings.pages_templates))
    environment = Environment(
        loader=ChoiceLoader(loaders),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
        bytecode_cache=_find_compiled_templates(),
    )
    add_texts(environment)
    environment.filters["time"] = show_time
    environment.globals["brand"] = Brand(
        name=brand_name(settings),
        has_own_logo=settings.brand_logo is not None,
        terms_url=settings.brand_terms_url,
        privacy_url=settings.brand_privacy_url,
        support_url=settings.brand_support_url,
    )
    environment.filters["strong"] = Markup("<strong>{}</strong>").format
    environment.globals["keep_language"] = keep_language
    if settings.pages_templates is not None:
        # Compiled at the start, so that a fault in one stops it; ours compile at their first use.
        for name in OVERRIDES:
            environment.get_template(name)
    return environment


def show_time(moment: datetime) -> Markup:
    """Return the element of a time: `2026-11-27 09:57 UTC`.

    The script shows it in the reader's language and time zone (`showLocalTimes`).
    """
    shown = f"{moment:%Y-%m-%d %H:%M} UTC"
    return Markup('<time datetime="%s">%s</time>') % (to_rfc3339(moment), shown)


def render(
    template: str,
    *,
    status: int = 200,
    referrer_policy: str = WITH_ORIGIN,
    headers: Mapping[str, str] | None = None,
    has_switch: bool = True,
    **values: Any,
) -> Response:
    """Return a page in the language of the request.

    Args:
        template: the name of its template.
        referrer_policy: `WITH_ORIGIN` or `WITHOUT_REFERRER`.
        headers: further headers.
        has_switch: True if the page offers the other languages.
        values: the template's variables.
    """
    switch = find_switch() if has_switch else None
    html = render_part(template, switch=switch, **values)
    page_headers = {**PAGE_HEADERS, "Referrer-Policy": referrer_policy, **(headers or {})}
    return Response(html, status=status, mimetype="text/html", headers=page_headers)


def render_part(template: str, **values: Any) -> str:
    """Return the HTML of a template, with the values that every page has.

    Args:
        template: the name of its template.
        values: further variables.
    """
    language, state = page_language(), find_request_state()
    root = state.asset_root if state is not None else ""
    common = {
        "assets": {stem: f"{root}{asset.path}" for stem, asset in ASSETS.get().by_stem.items()},
        "language": language,
        "direction": text_direction(language),
    }
    return TEMPLATES.get().get_template(template).render(common, **values)


def see_other(path: str, *, referrer_policy: str = WITH_ORIGIN) -> Response:
    """Return the redirect after a form: a GET of another page of this service.

    Args:
        path: absolute, with its query.

    Raises:
        ValueError: browsers would read another host from the path.
    """
    if not path.startswith("/") or path.startswith(("//", "/\\")):
        raise ValueError("not a path of this service")
    return _redirect(path, referrer_policy)


def leave_to(address: str, fields: Mapping[str, str]) -> Response:
    """Return the redirect to an app; only a GET may lead to it, since `form-action` is `'self'`.

    Args:
        address: registered by the app.
        fields: the parameters to add to its query.
    """
    return _redirect(add_query(address, fields), WITHOUT_REFERRER)


def add_query(address: str, fields: Mapping[str, str]) -> str:
    """Return an address with parameters after those of its own query."""
    return f"{address}{'&' if '?' in address else '?'}{urlencode(fields)}" if fields else address


def _redirect(location: str, referrer_policy: str) -> Response:
    headers = {**PAGE_HEADERS, "Referrer-Policy": referrer_policy, "Location": location}
    return Response(status=HTTPStatus.SEE_OTHER, headers=headers, mimetype="text/html")
