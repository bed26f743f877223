"""The brand's colour, fitted so that text in it can be read."""

from random import Random

import pytest

from authserve.core import brand
from authserve.core.brand import contrast, is_moved, make_accents, make_stylesheet

EDGES = ["#000000", "#ffffff", "#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff", "#ff00ff"]


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("theme", [brand.LIGHT, brand.DARK], ids=["light", "dark"])
def test_every_colour_can_be_read(theme: brand.Theme) -> None:
    random = Random(7)
    colors = EDGES + [f"#{random.randrange(2**24):06x}" for _ in range(500)]
    for color in colors:
        found = make_accents(color, theme)
        for ground in (*theme.grounds, found["accent-soft"]):
            assert contrast(found["accent"], ground) >= 4.5, (color, ground)
            assert contrast(found["accent-strong"], ground) >= 4.5, (color, ground)
        for button in ("accent", "accent-strong"):
            assert contrast(found["on-accent"], found[button]) >= 4.5, (color, button)


def test_a_colour_that_can_be_read_stays() -> None:
    assert make_accents("#2457a6", brand.LIGHT)["accent"] == "#2457a6"
    assert not is_moved("#2457a6")
    assert is_moved("#ffe45c")


def test_the_hue_stays() -> None:
    for theme in (brand.LIGHT, brand.DARK):
        _, _, wanted = brand._to_oklch("#c2410c")
        _, _, found = brand._to_oklch(make_accents("#c2410c", theme)["accent"])
        assert found == pytest.approx(wanted, abs=0.1)


def test_the_sheet_has_both_themes() -> None:
    sheet = make_stylesheet("#2457a6")
    assert sheet.startswith(":root{--accent:#2457a6;")
    assert "@media (prefers-color-scheme:dark){:root{--accent:#" in sheet
