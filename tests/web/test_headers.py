"""Exactly one of each security header, on every answer of pages, by every method."""

import pytest
from flask import Flask

from tests.support.browsing import BROWSER, OWN_FORM
from tests.support.headers import SECURITY_HEADERS

METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE")


def paths_of(app: Flask) -> set[str]:
    """A path of each page, of a file, and of what is none."""
    rules = [r for r in app.url_map.iter_rules() if r.endpoint.startswith(("pages.", "assets."))]
    plain = {rule.rule for rule in rules if not rule.arguments}
    return plain | {"/verify-email%23x", "/pages/x", "/", "/nowhere", "/api/v1/nowhere"}


@pytest.mark.parametrize("method", METHODS)
def test_each_is_there_once(app: Flask, method: str) -> None:
    paths = paths_of(app)
    assert len(paths) > 15
    for path in paths:
        headers = {**BROWSER, **OWN_FORM}
        url = "http://localhost:8000"
        answer = app.test_client().open(path, method=method, headers=headers, base_url=url)
        for name, value in SECURITY_HEADERS.items():
            found = answer.headers.getlist(name)
            if name == "Referrer-Policy":
                assert found in (["same-origin"], ["no-referrer"]), (path, found)
            else:
                assert found == [value], (path, name)
        (policy,) = answer.headers.getlist("Content-Security-Policy")
        assert "default-src 'none'" in policy, path
        assert "frame-ancestors 'none'" in policy or path.startswith("/pages/"), path
        if answer.mimetype == "text/html":
            assert answer.headers.getlist("Cache-Control") == ["no-store"], path
