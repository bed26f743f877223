"""Style sheets, script and logo: read once, kept in memory, and cached by browsers for a year.

A file's name has a part of its digest, so a new release brings new names, and no browser shows a
page of one release with the sheet of another.
"""

import gzip
from collections.abc import Mapping
from pathlib import Path

from flask import Blueprint, Response, abort, request

from authserve.core.brand import make_stylesheet
from authserve.core.container import Slot
from authserve.core.crypto import digest
from authserve.core.frozen import frozen
from authserve.settings.branding import DEFAULT_COLOR, LOGO_TYPES
from authserve.settings.model import Settings

STATIC_FOLDER = Path(__file__).parent / "static"

HASH_DIGITS = 8
"""Hexadecimal digits of a digest in a name; names need to differ, nothing more (chosen)."""

_COMPRESSIBLE = ("text/css", "text/javascript", "image/svg+xml")

_TYPES = {".css": "text/css", ".js": "text/javascript", **LOGO_TYPES}

_SVG_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""CSP of an SVG that is opened by itself: it runs no script and has no origin. Its own style
attributes are part of the picture."""


@frozen()
class Asset:
    """A file as it is sent.

    Args:
        name: with the part of its digest.
        compressed: with gzip; None if that saves nothing.
    """

    name: str
    mimetype: str
    content: bytes
    compressed: bytes | None

    @property
    def path(self) -> str:
        """The path of its URL."""
        return f"/pages/{self.name}"


@frozen()
class Assets:
    """The files of an application.

    Args:
        by_stem: by the plain name, such as `authserve.css`.
        by_name: by the name in URLs.
    """

    by_stem: Mapping[str, Asset]
    by_name: Mapping[str, Asset]


ASSETS = Slot[Assets]("assets")

blueprint = Blueprint("assets", __name__)


def read_assets(settings: Settings) -> Assets:
    """Read the built-in files and the operator's logo, and make the brand's sheet."""
    color, logo = settings.brand_color, settings.brand_logo or STATIC_FOLDER / "mark.svg"
    mark = logo.read_bytes()
    if settings.brand_logo is None:
        mark = mark.replace(DEFAULT_COLOR.encode(), color.encode())
    found = [
        _make("authserve.css", (STATIC_FOLDER / "authserve.css").read_bytes()),
        _make("pages.js", (STATIC_FOLDER / "pages.js").read_bytes()),
        _make("brand.css", make_stylesheet(color).encode()),
        _make(f"logo{logo.suffix.lower()}", mark),
    ]
    stems = ("authserve.css", "pages.js", "brand.css", "logo")
    return Assets(
        by_stem=dict(zip(stems, found, strict=True)), by_name={asset.name: asset for asset in found}
    )


def _make(file_name: str, content: bytes) -> Asset:
    stem, suffix = Path(file_name).stem, Path(file_name).suffix
    mimetype = _TYPES[suffix]
    is_compressible = mimetype in _COMPRESSIBLE
    compressed = gzip.compress(content, mtime=0) if is_compressible else None
    return Asset(
        name=f"{stem}.{digest(content).hex()[:HASH_DIGITS]}{suffix}",
        mimetype=mimetype,
        content=content,
        compressed=compressed if compressed and len(compressed) < len(content) else None,
    )


@blueprint.get("/pages/<name>")
def send_asset(name: str) -> Response:
    """Return a file of this release; of another release's there is none."""
    asset = ASSETS.get().by_name.get(name)
    if asset is None:
        abort(404)
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if asset.mimetype == LOGO_TYPES[".svg"]:
        headers["Content-Security-Policy"] = _SVG_POLICY
    content = asset.content
    if asset.compressed is not None and request.accept_encodings["gzip"] > 0:
        content, headers["Content-Encoding"] = asset.compressed, "gzip"
    return Response(content, mimetype=asset.mimetype, headers=headers)
