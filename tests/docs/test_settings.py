"""The pages about settings agree with the settings that the service reads."""

import re

import pytest

import config
from authserve.settings.parsers import MAX_BRAND_LENGTH

EXAMPLE = (config.ROOT / ".env.example").read_text(encoding="utf-8")

ROW = re.compile(r"^\| `([A-Z_]+)` \| (.+?) \| .+ \|$", re.MULTILINE)


def settings_of(page: str) -> dict[str, str]:
    """Each setting that a page's tables have, with its second column."""
    return dict(ROW.findall((config.ROOT / page).read_text(encoding="utf-8")))


def test_the_operators_page_has_them_all_in_order() -> None:
    assert list(settings_of("docs/operating.md")) == list(config.SETTINGS)


@pytest.mark.parametrize("page", ["README.md", "docs/operating.md"])
def test_they_exist_and_have_these_defaults(page: str) -> None:
    told = settings_of(page)
    assert told
    assert told.keys() <= config.SETTINGS.keys()
    literals = {name: re.fullmatch(r"`(.*)`", default) for name, default in told.items()}
    lines = [f"#{name}={literal[1]}" for name, literal in literals.items() if literal]
    assert set(lines) - set(EXAMPLE.splitlines()) == set()


@pytest.mark.parametrize("page", [".env.example", "docs/operating.md"])
def test_they_name_the_longest_name_of_the_service(page: str) -> None:
    told = re.findall(
        r"name in [\w ]+, at most (\d+) characters",
        (config.ROOT / page).read_text(encoding="utf-8"),
    )
    assert set(told) == {str(MAX_BRAND_LENGTH)}
