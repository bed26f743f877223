"""The password policy: rule by rule."""

import string
import subprocess
import sys
import unicodedata

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from authserve.passwords.policy import (
    MAX_LENGTH,
    find_password_faults,
    load_common_passwords,
    normalize_password,
)

ALICE = ("alice.smith@example.com", "alicia_s", "Alice Smith")

characters = st.characters(exclude_categories=["Cs"], exclude_characters="\x00")
# NFC can make a character three code points long, and 3 * 80 is still within the limit.
any_text = st.text(characters, max_size=80)
long_text = st.text(characters, min_size=15, max_size=MAX_LENGTH)


def faults(password: str, *, min_length: int = 8, context: tuple[str, ...] = ()) -> list[str]:
    return find_password_faults(password, min_length=min_length, context=context)


def varied(length: int, *, unit: str = "Tr0ub4dor&3 gehört zum Pferd, ") -> str:
    """A text of `length` code points that no rule but those on length could refuse."""
    return (unit + "".join(chr(0x4E00 + i) for i in range(length)))[:length]


@pytest.mark.parametrize(
    "password",
    [
        "Tr0ub4do",
        "Übung macht den Meister",
        "correct horse battery staple",
        "               a space or two",
        "lower case only, no digit",
        "🐎🔋📎✅ Horse 1",
        "Correct Horse Correct Horse",
    ],
)
def test_it_accepts(password: str) -> None:
    assert faults(password, context=ALICE) == []


@pytest.mark.parametrize(
    ("length", "is_accepted"), [(7, False), (8, True), (15, True), (256, True), (257, False)]
)
def test_it_counts_8_to_256_code_points(length: int, is_accepted: bool) -> None:
    assert (faults(varied(length)) == []) is is_accepted


@pytest.mark.parametrize(("length", "is_accepted"), [(7, False), (8, True), (256, True)])
def test_it_counts_a_character_outside_the_basic_plane_as_one(
    length: int, is_accepted: bool
) -> None:
    horses = "".join(chr(0x1F400 + i) for i in range(length - 3))
    assert (faults("Ab1" + horses) == []) is is_accepted


def test_it_counts_after_composing() -> None:
    decomposed = unicodedata.normalize("NFD", "Ärgerné1")
    assert len(decomposed) == 10
    assert faults(decomposed) == []
    seven = unicodedata.normalize("NFD", "Ärgené1")
    assert len(seven) == 9
    assert faults(seven) == ["Use at least 8 characters."]


@pytest.mark.parametrize("missing", ["tr0ub4do", "TR0UB4DO", "TroubTdo", "tr0ub4dor&3 ex"])
def test_it_wants_all_three_kinds_below_15(missing: str) -> None:
    assert len(missing) < 15
    assert len(faults(missing)) == 1
    assert "upper-case" in faults(missing)[0]


def test_it_wants_no_kinds_from_15_on() -> None:
    assert faults("tr0ub4dor&3 exa") == []


def test_letters_and_digits_of_any_script_count_as_kinds() -> None:
    assert faults("Пароль٣ж") == []


def test_a_minimum_of_15_turns_the_short_form_off() -> None:
    assert faults("Tr0ub4dor&3 ex", min_length=15) == ["Use at least 15 characters."]
    assert faults("tr0ub4dor&3 ex", min_length=15) == ["Use at least 15 characters."]
    assert faults("tr0ub4dor&3 exa", min_length=15) == []


def test_a_minimum_in_between_keeps_the_short_form() -> None:
    assert faults("Tr0ub4do", min_length=12) == ["Use at least 12 characters."]
    assert faults("Tr0ub4dor&3 ", min_length=12) == []
    assert "upper-case" in faults("tr0ub4dor&3 ", min_length=12)[0]


def test_a_minimum_below_8_counts_as_8() -> None:
    assert faults("Tr0ub4d", min_length=1) == ["Use at least 8 characters."]


COMMON = "This password is, or is made of, one of the most common ones."


@pytest.mark.parametrize(
    "common", ["Password1", "PASSWORd1", "1qaz2wsx3edc4rfv", "1QAZ2wsx3edc4rfv", "trustno1"]
)
def test_it_refuses_common_passwords_in_any_case(common: str) -> None:
    assert COMMON in faults(common)


@pytest.mark.parametrize(
    "variant",
    [
        "1drowssaP",
        "drowssap drowssap",
        "Trustno1!",
        "!Trustno1!",
        "2024Trustno1",
        "Monkey12",
        "(Monkey_12)",
        "monkeymonkeymonkey",
        "Password1Password1",
        "Password1Password1Pass",
        "Password!Password!",
        "password password password",
        "monkey48151623421066",
        "00000000000monkey",
        "12345678900987!",
        "1234567890!!!!!",
        "!!!1234567890!!",
        "Yeknom2024!",
        "Trewqtrewqtrewq1",
    ],
)
def test_it_refuses_common_passwords_repeated_reversed_and_decorated(variant: str) -> None:
    assert COMMON in faults(variant)


@pytest.mark.parametrize(
    "password",
    [
        "73910462851739205846",
        "Monkey and 1",
        "1monkey in 2 trees",
        "Xk9m12345678",
        "a1234567890-=b",
    ],
)
def test_it_accepts_long_numbers_and_words_that_only_hold_a_common_one(password: str) -> None:
    assert COMMON not in faults(password)


def test_a_common_password_may_be_part_of_a_longer_one() -> None:
    assert faults("Password1 no more") == []


OWN_WORD = "Do not use your address, your names or the name of this service."


@pytest.mark.parametrize(
    "own",
    [
        "alice.smith@example.com",
        "Alice.Smith@EXAMPLE.com",
        "authserve",
        "AuthServe",
        "alice.smith",
        "alicia_s",
        "ALICIA_S",
        "alice smith",
    ],
)
def test_it_refuses_the_users_own_words_and_the_services_name(own: str) -> None:
    assert OWN_WORD in faults(own, context=ALICE)


@pytest.mark.parametrize(
    "own", ["Authserve1", "1!Authserve!", "Alice.Smith1", "Alicia_s2024", "Alice Smith 9"]
)
def test_it_refuses_an_own_word_with_digits_and_signs_around_it_below_15(own: str) -> None:
    assert len(own) < 15
    assert faults(own, context=ALICE) == [OWN_WORD]


def test_it_refuses_a_name_whose_own_digits_were_changed() -> None:
    assert OWN_WORD in faults("Alice1991", context=("alice1990",))


@pytest.mark.parametrize(
    "decorated", ["alice.smith1990", "authserve123456", "alice.smith@example.com1"]
)
def test_from_15_on_an_own_word_is_refused_only_as_a_whole(decorated: str) -> None:
    assert faults(decorated, context=ALICE) == []
    assert faults(decorated, context=(decorated,)) == [OWN_WORD]


def test_an_own_word_without_letters_refuses_only_itself() -> None:
    assert OWN_WORD not in faults("48151623", context=("", "1990", "@"))
    assert OWN_WORD in faults("19901990", context=("19901990",))


REPEATED = "Do not just repeat one character or a short sequence."


@pytest.mark.parametrize(
    "repeated",
    [
        "aaaaaaaaaaaaaaaa",
        "aaaaAAAAaaaaAAAA",
        "🐎" * 20,
        "abcabcabcabcabc",
        "abcabcabcabcabcab",
        "Ab1Ab1Ab1",
        "Ab1cAb1c",
        "Abcdef1Abcdef1",
        "abcdef1abcdef1ab",
        "e\N{COMBINING ACUTE ACCENT}" * 16,
    ],
)
def test_it_refuses_a_short_sequence_repeated(repeated: str) -> None:
    assert REPEATED in faults(repeated)


@pytest.mark.parametrize(
    "password", ["axcyefg1axcyefg1", "Axyd1Axyd", "aaaaaaaaaaaaaaab", "baaaaaaaaaaaaaaa"]
)
def test_it_accepts_longer_sequences_and_incomplete_repetitions(password: str) -> None:
    assert faults(password) == []


@pytest.mark.parametrize("password", ["lone \ud800 surrogate, long", "NUL \x00 in it, and long"])
def test_it_refuses_passwords_that_cannot_be_submitted(password: str) -> None:
    assert faults(password) == ["Use text only; one of the characters is none."]


def is_repeated(text: str) -> bool:
    """Check the rule the other way round: build every repetition, and compare."""
    return any(text == (text[:period] * len(text))[: len(text)] for period in range(1, 8))


def is_made_of_a_common_one(text: str) -> bool:
    """Check the rule the other way round: find every common password in the text."""
    units = [text[:period] for period in range(1, len(text) + 1) if is_repeated_by(text, period)]
    return any(holds_bare(unit, word) for unit in units for word in parts_of(unit) & SPELLINGS)


SPELLINGS = frozenset(spelled for w in load_common_passwords() for spelled in (w, w[::-1]))
LONGEST = max(map(len, SPELLINGS))


def parts_of(text: str) -> set[str]:
    starts = range(len(text))
    return {text[start:end] for start in starts for end in range(start + 1, start + LONGEST + 1)}


def is_repeated_by(text: str, period: int) -> bool:
    return text == (text[:period] * len(text))[: len(text)]


def holds_bare(unit: str, word: str) -> bool:
    before, _, after = unit.partition(word)
    signs = string.digits + string.punctuation + string.whitespace
    has_core = bool(unit.strip(signs))
    return not (before + after).strip(signs) and (has_core or 2 * len(word) >= len(unit))


@given(long_text)
@example("correct horse ba")
def test_from_15_on_anything_goes(password: str) -> None:
    normalized = normalize_password(password)
    folded = normalized.casefold()
    assume(15 <= len(normalized) <= MAX_LENGTH)
    assume(not is_repeated(folded) and not is_made_of_a_common_one(folded))
    assert faults(password) == []
    assert faults(password, min_length=15, context=ALICE) == []


@given(any_text)
@example("Ärgerné1")
@example("e\N{COMBINING ACUTE ACCENT}" * 15)
def test_composed_and_decomposed_get_the_same_verdict(password: str) -> None:
    composed = unicodedata.normalize("NFC", password)
    decomposed = unicodedata.normalize("NFD", password)
    verdict = faults(password, context=ALICE)
    assert faults(composed, context=ALICE) == faults(decomposed, context=ALICE) == verdict
    assert OWN_WORD in faults(composed, context=(decomposed,))


@given(st.text(max_size=2000), st.lists(st.text()))
def test_no_text_makes_it_fail(password: str, context: list[str]) -> None:
    find_password_faults(password, min_length=8, context=context)


def test_no_character_decomposes_into_more_than_four() -> None:
    decomposed = (unicodedata.normalize("NFD", chr(c)) for c in range(sys.maxunicode + 1))
    assert max(map(len, decomposed)) == 4


def test_it_never_normalizes_what_is_too_long_in_any_form() -> None:
    decomposed = "e\N{COMBINING ACUTE ACCENT}"
    assert len(normalize_password(decomposed * 512)) == 512
    assert normalize_password(decomposed * 513) == decomposed * 513
    assert faults(decomposed * 513) == ["Use at most 256 characters."]


def test_the_common_list_is_whole() -> None:
    common = load_common_passwords()
    assert len(common) == 30_000
    assert {len(word) for word in common} <= set(range(4, 21))
    assert all("\n" not in word and word for word in common)
    assert all(word == word.casefold() for word in common)
    assert common is load_common_passwords()


def test_the_common_list_leaves_no_module_behind() -> None:
    check = (
        "import sys; from authserve.passwords.policy import load_common_passwords;"
        "load_common_passwords(); sys.exit(any('zxcvbn' in name for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
