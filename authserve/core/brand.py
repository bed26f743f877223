"""The operator's colour on pages and in mails, moved until text can be read in it.

Lightness is moved in OKLCH, where equal steps look equal and the hue stays (Björn Ottosson, "A
perceptual color space for image processing", 2020). Contrast is WCAG 2.2's.
"""

import math
from collections.abc import Sequence

from authserve.core.frozen import frozen

MIN_CONTRAST = 4.5
"""Least contrast of text (WCAG 2.2, success criterion 1.4.3)."""

_STEP = 0.005
"""Step of lightness, of 0 to 1 (chosen: too small to be seen)."""

RGB = tuple[float, float, float]


@frozen()
class Theme:
    """One of the two themes.

    Args:
        grounds: colours of the sheet behind text; the first is that of panels.
        direction: -1 if the colour becomes darker until it can be read, 1 if lighter.
        start: the least or greatest lightness to begin with.
        on_accent: text on the accent. It has the contrast that the accent has to the grounds, or
            more, since it is further away than they are.
        soft, line: lightness and greatest chroma of a tinted ground, and of its border.
    """

    grounds: tuple[str, ...]
    direction: int
    start: float
    on_accent: str
    soft: tuple[float, float]
    line: tuple[float, float]


LIGHT = Theme(("#ffffff", "#f5f6f8"), -1, 0.62, "#ffffff", (0.955, 0.017), (0.87, 0.045))
DARK = Theme(("#171b21", "#0f1216"), 1, 0.765, "#000000", (0.265, 0.035), (0.385, 0.055))
"""The themes; `authserve.css` and the frame of mails have the same grounds."""

_STRONG_STEP = 0.07
"""The further change of a pressed button's lightness (chosen)."""


def make_stylesheet(color: str) -> str:
    """Return the style sheet with the accents of both themes for a brand's colour (`#rrggbb`)."""
    light, dark = _declarations(color, LIGHT), _declarations(color, DARK)
    return f":root{{{light}}}\n@media (prefers-color-scheme:dark){{:root{{{dark}}}}}\n"


def is_moved(color: str) -> bool:
    """Return True if the light theme shows another lightness than the brand's colour has."""
    return make_accents(color, LIGHT)["accent"] != color


def _declarations(color: str, theme: Theme) -> str:
    return "".join(f"--{name}:{value};" for name, value in make_accents(color, theme).items())


def make_accents(color: str, theme: Theme) -> dict[str, str]:
    """Return the custom properties of a theme, each with its colour."""
    lightness, chroma, hue = _to_oklch(color)
    soft = _to_hex(theme.soft[0], min(chroma, theme.soft[1]), hue)
    start = min(lightness, theme.start) if theme.direction < 0 else max(lightness, theme.start)
    fitted = _fit(start, chroma, hue, (*theme.grounds, soft), theme.direction)
    strong = min(max(fitted + theme.direction * _STRONG_STEP, 0.0), 1.0)
    return {
        "accent": color if fitted == lightness else _to_hex(fitted, chroma, hue),
        "accent-strong": _to_hex(strong, chroma, hue),
        "on-accent": theme.on_accent,
        "accent-soft": soft,
        "accent-line": _to_hex(theme.line[0], min(chroma, theme.line[1]), hue),
    }


def _fit(
    lightness: float, chroma: float, hue: float, grounds: Sequence[str], direction: int
) -> float:
    """Return the nearest lightness in a direction that can be read on all grounds."""
    while 0 < lightness < 1:
        shown = _to_hex(lightness, chroma, hue)
        if all(contrast(shown, ground) >= MIN_CONTRAST for ground in grounds):
            break
        lightness += direction * _STEP
    return lightness


def contrast(one: str, other: str) -> float:
    """Return the contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(color: str) -> float:
    red, green, blue = _to_linear(color)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _to_linear(color: str) -> RGB:
    red, green, blue = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return _linear(red), _linear(green), _linear(blue)


def _linear(value: float) -> float:
    """Return the light of an sRGB channel (IEC 61966-2-1)."""
    return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4


def _encoded(value: float) -> float:
    return 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055


def _to_oklch(color: str) -> RGB:
    """Return lightness, chroma and hue (in radians) of a colour."""
    r, g, b = _to_linear(color)
    long = math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b)
    medium = math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b)
    short = math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b)
    lightness = 0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short
    a = 1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short
    b = 0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short
    return lightness, math.hypot(a, b), math.atan2(b, a)


def _to_hex(lightness: float, chroma: float, hue: float) -> str:
    """Return a colour as `#rrggbb`, with less chroma if sRGB has no such colour."""
    rgb = _to_rgb(lightness, chroma, hue)
    while chroma > 0 and not all(-1e-4 <= value <= 1 + 1e-4 for value in rgb):
        chroma = max(0.0, chroma - _STEP)
        rgb = _to_rgb(lightness, chroma, hue)
    channels = (round(255 * _encoded(min(max(value, 0.0), 1.0))) for value in rgb)
    return "#" + "".join(f"{channel:02x}" for channel in channels)


def _to_rgb(lightness: float, chroma: float, hue: float) -> RGB:
    a, b = chroma * math.cos(hue), chroma * math.sin(hue)
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    return (
        4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
        -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
        -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
    )
