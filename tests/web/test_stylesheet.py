"""The style sheet suits languages that run from right to left."""

import re

from authserve.web.assets import STATIC_FOLDER

_PHYSICAL = re.compile(
    r"(?:margin|padding|border)-(?:left|right)|(?:^|[;{\s])(?:left|right|float|clear)\s*:"
    r"|text-align:\s*(?:left|right)|border-(?:top|bottom)-(?:left|right)-radius",
    re.MULTILINE,
)
"""Declarations that name a side of the window instead of one of the text (CSS Logical Properties).
"""


def test_it_names_no_side_of_the_window() -> None:
    sheet = (STATIC_FOLDER / "authserve.css").read_text(encoding="utf-8")
    assert _PHYSICAL.findall(re.sub(r"/\*.*?\*/", "", sheet, flags=re.DOTALL)) == []
    assert _PHYSICAL.search("a { left: 0 }")


def test_pictures_that_point_are_mirrored() -> None:
    sheet = (STATIC_FOLDER / "authserve.css").read_text(encoding="utf-8")
    assert '[dir="rtl"] .chevron { transform: scaleX(-1); }' in sheet
