"""The meaning of a line of `.env`, and lines without one."""

import pytest

from authserve.settings.env_file import find_env_faults, read_env_text

NAMES = {"APP_ENV", "PORT"}


TEXT = "# a comment\n\nEARLIER=1\n\n{}\nLAST=2\n"


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=plain", "plain"),
        ("export NAME=plain", "plain"),
        ("NAME = plain  # a comment", "plain"),
        ('NAME="two words"', "two words"),
        ("NAME=", ""),
        ("NAME='${HOME}/x'", "${HOME}/x"),
        ("NAME = '${HOME}'  # a comment", "${HOME}"),
        ('NAME="${HOME}/x"', "/home/auth/x"),
        ("NAME=${HOME}/x", "/home/auth/x"),
        ("NAME=${OTHER:-default}", "default"),
        ("NAME=${EARLIER}", "1"),
        ('NAME="line\nline"', "line\nline"),
    ],
)
def test_a_line_sets_its_value(line: str, value: str) -> None:
    text = TEXT.format(line)
    assert list(find_env_faults(text, NAMES)) == []
    found = read_env_text(text, {"HOME": "/home/auth"})
    assert found == {"EARLIER": "1", "NAME": value, "LAST": "2"}


@pytest.mark.parametrize(
    "line",
    [
        "NAME='it''s'",
        "NAME: value",
        "NAME:",
        "NAME",
        "NAME:=value",
        'NAME="unterminated',
        "NAME='unterminated",
        'NAME="a" b',
        "two words=value",
        "=value",
        'NAME="\nAPP_ENV=production\nX="',
    ],
)
def test_a_line_without_a_meaning_is_a_fault(line: str) -> None:
    faults = list(find_env_faults(TEXT.format(line), NAMES))
    assert faults
    assert "line 5" in faults[0]


def test_a_fault_names_a_hidden_setting_and_repeats_nothing_else() -> None:
    text = 'SECRET_KEY="hunter2\nAPP_ENV=production\nMAIL_FROM="a@b"\n'
    (fault,) = list(find_env_faults('A="hunter2\nAPP_ENV=production\nX=1"\n', NAMES))
    assert fault == ".env: the value that begins on line 1 hides APP_ENV; close its quote"
    assert "hunter2" not in "".join(find_env_faults(text, NAMES))
    assert list(find_env_faults(text, NAMES))


def test_the_beginning_of_a_value_may_look_like_an_assignment() -> None:
    assert list(find_env_faults('OPTIONS="PORT=1"\nKEY="a\nb=c"\n', NAMES)) == []


def test_a_byte_order_mark_is_no_part_of_a_name() -> None:
    assert read_env_text("\ufeffPORT=1\r\n", {}) == {"PORT": "1"}
