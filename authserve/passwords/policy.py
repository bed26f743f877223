"""The password policy, used by register, change, reset, invitation and seed.

Pure, except that it reads the list of common passwords once, from a file of the package zxcvbn.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import distribution
from types import ModuleType

MIN_LENGTH = 8
"""Code points of the shortest password allowed (NIST SP 800-63B-4 §3.1.1.2, ASVS 6.2.1)."""

LONG_LENGTH = 15
"""Code points from which length alone is enough; NIST SP 800-63B-4 §3.1.1.2 forbids further
rules."""

MAX_LENGTH = 256
"""Most code points (chosen). ASVS 6.2.9 requires at least 64; without a limit, hashing is a denial
of service (Django's CVE-2013-1443)."""

_MAX_RAW_LENGTH = 4 * MAX_LENGTH
"""No character decomposes into more than four code points (UAX #15), so nothing longer than this
can compose into an acceptable password."""

_SHORT_SEQUENCE = MIN_LENGTH - 1
"""Code points of the longest sequence too short to be a password; repeating it adds nothing."""

_SERVICE_NAME = "authserve"
_NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
_DECORATION = re.compile(r"^[\W\d_]+|[\W\d_]+$")
"""The characters before the first letter and after the last."""

_COMMON_LENGTHS = range(4, 21)
"""Lengths of the common passwords in zxcvbn's list, in code points; a test verifies them."""


def normalize_password(password: str) -> str:
    """Return the NFC form of `password`, which is checked, counted, hashed and verified.

    A password of more than 1024 code points is returned unchanged: it exceeds `MAX_LENGTH` in any
    form, and normalising is quadratic. A body of 64 KiB, all combining marks, would block the
    process for 0.8 s (measured).
    """
    if len(password) > _MAX_RAW_LENGTH:
        return password
    return unicodedata.normalize("NFC", password)


def find_password_faults(
    password: str, *, min_length: int, context: Iterable[str] = ()
) -> list[str]:
    """Return the faults of a new password.

    Args:
        password: as sent.
        min_length: code points that the operator requires (`PASSWORD_MIN_LENGTH`); at least 8
            are always required. From 15 on, the rule for short passwords does not apply.
        context: the user's own address, username and name, where they exist. The service's name
            is always added.

    Returns:
        Sentences for the user; empty if the password is acceptable. No sentence contains the
        password.
    """
    normalized = normalize_password(password)
    if len(normalized) > MAX_LENGTH:
        return [f"Use at most {MAX_LENGTH} characters."]
    faults = _find_length_faults(normalized, min_length=max(min_length, MIN_LENGTH))
    if _NOT_TEXT.search(normalized):
        # The HTTP edge refuses these in any field, so no login with such a password could work.
        faults.append("Use text only; one of the characters is none.")
    if _is_common(_fold(normalized)):
        faults.append("This password is, or is made of, one of the most common ones.")
    if _is_own_word(normalized, context):
        faults.append("Do not use your address, your names or the name of this service.")
    if _is_repetition(_fold(normalized)):
        faults.append("Do not just repeat one character or a short sequence.")
    return faults


def _find_length_faults(password: str, *, min_length: int) -> list[str]:
    faults = []
    if len(password) < min_length:
        faults.append(f"Use at least {min_length} characters.")
    has_short_form = min_length < LONG_LENGTH
    if has_short_form and len(password) < LONG_LENGTH and not _has_all_kinds(password):
        faults.append(
            f"Below {LONG_LENGTH} characters, use an upper-case letter, a lower-case letter and "
            "a digit."
        )
    return faults


def _has_all_kinds(password: str) -> bool:
    return all(any(map(is_kind, password)) for is_kind in (str.isupper, str.islower, str.isdecimal))


def _is_common(folded: str) -> bool:
    """Return True if a password is a common one, possibly repeated, reversed or decorated.

    Decorated means surrounded by digits and punctuation. The three combine: `drowssap1!` and
    `password!password!` are refused too.
    """
    stems = {stem for unit in _find_units(folded) for stem in _find_stems(unit)}
    return any(_is_listed(unit) for stem in stems for unit in _find_units(stem))


def _is_listed(word: str) -> bool:
    common = load_common_passwords()
    return word in common or word[::-1] in common


def _find_units(text: str) -> Iterator[str]:
    """Yield every sequence that a text repeats (the last copy may be cut), and the text itself."""
    return (text[:period] for period in range(1, len(text) + 1) if _has_period(text, period))


def _has_period(text: str, period: int) -> bool:
    """Return True if a text repeats its first `period` characters; the last copy may be cut."""
    return text.startswith(text[period:])


def _find_stems(text: str) -> Iterator[str]:
    """Yield the core of a text, with none, some and all of the digits and punctuation around it.

    Some, since many common passwords end in a digit (`trustno1!`). A text of only digits and
    punctuation has no core: its parts of at least half its length are yielded (chosen), since any
    long number contains a short common one somewhere.
    """
    core = [place for place, character in enumerate(text) if not _is_decoration(character)]
    first, last = (core[0], core[-1] + 1) if core else (len(text), 0)
    shortest = last - first if core else (len(text) + 1) // 2
    for length in _COMMON_LENGTHS:
        if shortest <= length <= len(text):
            for start in range(max(0, last - length), min(first, len(text) - length) + 1):
                yield text[start : start + length]


def _is_decoration(character: str) -> bool:
    """Return True for digits, punctuation, spaces and ASCII signs; not for letters and emoji."""
    is_ascii_sign = character.isascii() and not character.isalpha()
    return is_ascii_sign or unicodedata.category(character)[0] in "NPZ"


def _is_own_word(password: str, context: Iterable[str]) -> bool:
    """Return True if the password is a word that an attacker would guess first for this user.

    Below 15 code points, digits and signs around it are ignored ("Authserve1!"): the rule for
    short passwords would otherwise lead to such passwords. A longer one is compared as a whole.
    """
    words = {_fold(word) for word in _own_words(context)}
    folded = _fold(password)
    if folded in words or len(password) >= LONG_LENGTH:
        return folded in words
    return _DECORATION.sub("", folded) in {_DECORATION.sub("", word) for word in words} - {""}


def _own_words(context: Iterable[str]) -> Iterable[str]:
    yield _SERVICE_NAME
    for word in context:
        yield word
        if "@" in word:
            yield word.rpartition("@")[0]


def _is_repetition(password: str) -> bool:
    """Return True if it repeats one sequence of up to 7 code points at least twice in full.

    After that, the last copy may be cut.
    """
    longest = min(_SHORT_SEQUENCE, len(password) // 2)
    return any(_has_period(password, period) for period in range(1, longest + 1))


def _fold(text: str) -> str:
    return normalize_password(text).casefold()


@cache
def load_common_passwords() -> frozenset[str]:
    """Return the 30,000 common passwords that zxcvbn ships, in lower case (ASVS 6.2.4: 3,000).

    Short ones are included, since they are refused with digits around them. The first call reads
    the file; a server calls this before it forks, so that its workers share the 5 MB (measured).
    """
    # Split only after the module's lists are freed: the strings then lie close together, and
    # the freed pages return to the system.
    return frozenset(_read_common_passwords().split("\n"))


def _read_common_passwords() -> str:
    """Return zxcvbn's list of passwords, one per line.

    `import zxcvbn` would keep 13 MB (measured) of lists and rankings for good. So its file of
    lists is run as a private module, and emptied.
    """
    path = distribution("zxcvbn").locate_file("zxcvbn/frequency_lists.py")
    module = ModuleType("zxcvbn.frequency_lists")
    SourceFileLoader(module.__name__, str(path)).exec_module(module)
    lists: dict[str, list[str]] = module.FREQUENCY_LISTS
    passwords = "\n".join(lists["passwords"])
    lists.clear()
    return passwords
