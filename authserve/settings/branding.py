"""Parsers of the settings that give pages an operator's look: colour, logo, links, templates."""

import re
from collections.abc import Callable
from pathlib import Path

from marshmallow import ValidationError

from authserve.settings.parsers import Parser, folder, parse_text

DEFAULT_COLOR = "#2457a6"

MAX_LOGO_BYTES = 64 * 1024
"""Limits a logo (chosen: it is kept in every worker's memory, and is part of the first view)."""

LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}

OVERRIDES = frozenset({"brand_head.html", "brand_header.html", "brand_footer.html"})
"""The templates that an operator may replace; their names never change."""

_COLOR = re.compile(r"#[0-9a-f]{6}")
_LINK = re.compile(r"https://[!-~]+|mailto:[^\s@]+@[^\s@]+", re.ASCII)


def parse_color(raw: str) -> str:
    """Parse a colour written as `#rrggbb`; the result is in lower case."""
    if not _COLOR.fullmatch(raw.lower()):
        raise ValidationError("must be a colour such as #2457a6")
    return raw.lower()


def parse_page_link(raw: str) -> str:
    """Parse the https or mailto address of a link in a page's footer; empty text means no link."""
    if raw and not _LINK.fullmatch(raw):
        raise ValidationError("must begin with https:// or mailto:")
    return raw


def logo_file(base: Path) -> Parser[Path | None]:
    """Return a parser of the logo's file, relative to `base`; empty text means the built-in one."""

    def parse(raw: str) -> Path | None:
        return _check_logo(base / parse_text(raw)) if raw else None

    return parse


def _check_logo(path: Path) -> Path:
    if path.suffix.lower() not in LOGO_TYPES or not path.is_file():
        raise ValidationError("must name an SVG or PNG file that exists")
    if path.stat().st_size > MAX_LOGO_BYTES:
        raise ValidationError(f"must name a file of at most {MAX_LOGO_BYTES // 1024} KiB")
    return path


def override_folder(base: Path) -> Callable[[str], Path | None]:
    """Return a parser of a folder that holds none but `OVERRIDES`; empty text means none."""
    parse_folder = folder(base)

    def parse(raw: str) -> Path | None:
        path = parse_folder(raw)
        if path is not None and not {entry.name for entry in path.iterdir()} <= OVERRIDES:
            names = ", ".join(sorted(OVERRIDES))
            raise ValidationError(f"must name a folder that holds no other file than {names}")
        return path

    return parse
