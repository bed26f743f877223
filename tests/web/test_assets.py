"""Style sheets, script and logo."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

from flask import Flask

from tests.support.browsing import Visit


def assets_of(html: str) -> list[str]:
    """The paths of the files that a page names, each once."""
    return sorted(set(re.findall(r'"(/pages/[^"]+)"', html)))


def test_the_first_view_is_small_and_from_here_alone(visit: Visit) -> None:
    page = visit.open("/sign-in")
    paths = assets_of(page.html)
    assert len(paths) + 1 <= 5
    assert sum(len(visit.open(path).response.data) for path in paths) + len(page.html) < 50_000
    assert not re.findall(r'(?:src|href|action)="(?:https?:)?//', page.html)


def test_a_file_is_kept_for_a_year_by_a_name_that_changes_with_it(visit: Visit) -> None:
    for path in assets_of(visit.open("/sign-in").html):
        assert re.fullmatch(r"/pages/\w+\.[0-9a-f]{8}\.(css|js|svg)", path)
        answer = visit.open(path)
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert answer.headers["Vary"] == "Accept-Encoding"
        packed = visit.open(path, headers={"Accept-Encoding": "br, gzip"}).response
        assert packed.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(packed.data) == answer.response.data
        refused = visit.open(path, headers={"Accept-Encoding": "gzip;q=0"})
        assert "Content-Encoding" not in refused.headers


def test_there_is_no_other_file(visit: Visit) -> None:
    for name in ("authserve.css", "authserve.00000000.css", "..%2fbrand.py", "templates", "x"):
        assert visit.open(f"/pages/{name}").status == 404


def test_the_operator_brings_a_logo_and_a_colour(
    make_app: Callable[..., Flask], tmp_path: Path
) -> None:
    logo = tmp_path / "Logo.SVG"
    logo.write_text('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
    app = make_app(features=("pages",), brand_logo=logo, brand_color="#0a7d55")
    visit = Visit(app)
    page = visit.open("/sign-in")
    (path,) = [path for path in assets_of(page.html) if path.endswith(".svg")]
    assert f'<img src="{path}"' in page.html
    answer = visit.open(path)
    assert answer.headers["Content-Type"].startswith("image/svg+xml")
    (policy,) = answer.headers.getlist("Content-Security-Policy")
    assert policy == "default-src 'none'; style-src 'unsafe-inline'; sandbox"
    (sheet,) = [path for path in assets_of(page.html) if "brand" in path]
    assert "--accent:#0a7d55;" in visit.open(sheet).html
