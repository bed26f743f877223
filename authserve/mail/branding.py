"""The brand in mails: its colours, fitted for both themes, and its logo as a part of the mail.

The logo travels inside the mail. Outlook, Thunderbird and many companies' gateways load no image
from elsewhere until the reader asks for it, and an image from the service would report that a mail
was read. `data:` URIs are shown by neither Gmail nor Outlook, SVG by neither of them nor by Yahoo
(caniemail.com: "Base64 image format", "SVG image format"): so only a PNG is shown, and the name
stands beside it in words.
"""

import struct
from collections.abc import Mapping
from pathlib import Path

from authserve.core.brand import DARK, LIGHT, make_accents
from authserve.core.frozen import frozen

LOGO_HEIGHT_PX = 28
MAX_LOGO_WIDTH_PX = 192
"""The size of a logo in CSS pixels, as on pages."""

_PNG_START = b"\x89PNG\r\n\x1a\n"
_IHDR = struct.Struct(">8s8xII")
"""Signature, length and type of the first chunk, width and height (PNG, 3rd edition, §5.2 and
§11.2.1)."""


@frozen()
class Logo:
    """A PNG with the size in which mails show it, in CSS pixels.

    Outlook shows an image without a size in that of its file.
    """

    content: bytes
    width: int
    height: int


def read_logo(path: Path | None) -> Logo | None:
    """Return the operator's logo; None without one, or for a file other than a PNG."""
    content = path.read_bytes() if path is not None else b""
    if not content.startswith(_PNG_START) or len(content) < _IHDR.size:
        return None
    _, width, height = _IHDR.unpack_from(content)
    scale = min(LOGO_HEIGHT_PX / max(height, 1), MAX_LOGO_WIDTH_PX / max(width, 1))
    return Logo(content, max(1, round(width * scale)), max(1, round(height * scale)))


def make_mail_colors(color: str) -> Mapping[str, str]:
    """Return the brand's accents, and the text on them, for the light and the dark theme.

    Args:
        color: the brand's, as `#rrggbb`.
    """
    light, dark = make_accents(color, LIGHT), make_accents(color, DARK)
    return {
        "accent": light["accent"],
        "on_accent": light["on-accent"],
        "dark_accent": dark["accent"],
        "dark_on_accent": dark["on-accent"],
    }
