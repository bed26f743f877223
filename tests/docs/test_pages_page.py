"""The page about pages: its examples of an operator's own parts, used unchanged."""

import re
from collections.abc import Callable
from pathlib import Path

from flask import Flask

import config
from authserve.pages.checks import check_page_templates
from authserve.settings.branding import OVERRIDES
from authserve.settings.model import SETTINGS
from tests.support.browsing import Visit

PAGE = (config.ROOT / "docs" / "pages.md").read_text(encoding="utf-8")


def test_its_examples_are_shown_on_every_page(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    examples = re.findall(r"`(brand_\w+\.html)` is .+?\n\n```html\n(.+?)```", PAGE, re.DOTALL)
    assert {name for name, _ in examples} == OVERRIDES
    for name, html in examples:
        (tmp_path / name).write_text(html)
    app = make_app(features=("pages",), pages_templates=tmp_path, brand_name="Larkspur")
    with app.app_context():
        finding = check_page_templates(SETTINGS.get())
    assert finding.message.endswith("to every page."), finding
    shown = Visit(app).open("/sign-in")
    for _, html in examples:
        assert html.strip().replace("{{ brand.name }}", "Larkspur") in shown.html
    assert shown.tree.find("body/aside") is not None
