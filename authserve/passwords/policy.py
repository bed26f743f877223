"""Which passwords are acceptable: the one policy, for register, change, reset, invitation and seed.

Pure, save that the list of common passwords is read once, from a file of the package zxcvbn.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.metadata import distribution
from types import ModuleType

MIN_LENGTH = 8
"""Code points of the shortest password there is (NIST SP 800-63B-4 §3.1.1.2, ASVS 6.2.1)."""

LONG_LENGTH = 15
"""From here on length alone is enough, and NIST SP 800-63B-4 §3.1.1.2 bars further rules."""

MAX_LENGTH = 256
"""ASVS 6.2.9 asks for 64 at least; a bound there must be (Django's CVE-2013-1443). Chosen."""

_MAX_RAW_LENGTH = 4 * MAX_LENGTH
"""No character decomposes into more than four code points (UAX #15), so nothing longer than this
can compose into an acceptable password."""

_SHORT_SEQUENCE = MIN_LENGTH - 1
"""The longest sequence that is too short to be a password; saying it again adds nothing."""

_SERVICE_NAME = "authserve"
_NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")
_DECORATION = re.compile(r"^[\W\d_]+|[\W\d_]+$")
"""Whatever stands before the first letter and after the last."""

_COMMON_LENGTHS = range(4, 21)
"""Code points of the shortest and the longest common password of zxcvbn's list; a test checks."""


def normalize_password(password: str) -> str:
    """The NFC form of `password`: the one that is judged, counted, hashed and verified.

    More than 1024 code points come back as they are. They are over `MAX_LENGTH` in any form, and
    normalising is quadratic: the 64 KiB that a body may hold, all combining marks, would keep the
    whole process busy for 0.8 s (measured).
    """
    if len(password) > _MAX_RAW_LENGTH:
        return password
    return unicodedata.normalize("NFC", password)


def find_password_faults(
    password: str, *, min_length: int, context: Iterable[str] = ()
) -> list[str]:
    """Say what is wrong with a password that someone wants to use from now on.

    Args:
        password: as sent.
        min_length: code points that the operator asks for (`PASSWORD_MIN_LENGTH`), never taken as
            fewer than 8. From 15 on there is no short password, and so no rule for one.
        context: the user's own address, username and name, as far as there are any. The
            service's name is always added.

    Returns:
        Sentences for the person who chose it; empty if the password is acceptable. None of them
        repeats the password.
    """
    normalized = normalize_password(password)
    if len(normalized) > MAX_LENGTH:
        return [f"Use at most {MAX_LENGTH} characters."]
    faults = _find_length_faults(normalized, min_length=max(min_length, MIN_LENGTH))
    if _NOT_TEXT.search(normalized):
        # The HTTP edge refuses these in any field, so nobody could ever sign in with one.
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
    """Return True if a password is a common one, also repeated, reversed or decorated.

    Decorated means with digits and punctuation around it. The three combine: `drowssap1!` and
    `password!password!` are refused too.
    """
    stems = {stem for unit in _find_units(folded) for stem in _find_stems(unit)}
    return any(_is_listed(unit) for stem in stems for unit in _find_units(stem))


def _is_listed(word: str) -> bool:
    common = load_common_passwords()
    return word in common or word[::-1] in common


def _find_units(text: str) -> Iterator[str]:
    """Yield every sequence that a text repeats, the last time perhaps cut; and the text itself."""
    return (text[:period] for period in range(1, len(text) + 1) if _has_period(text, period))


def _has_period(text: str, period: int) -> bool:
    """Return True if a text equals itself shifted by `period` places: then it repeats."""
    return text.startswith(text[period:])


def _find_stems(text: str) -> Iterator[str]:
    """Yield a text without none, some and all of the digits and punctuation around its core.

    Some, since many common passwords end in a digit themselves (`trustno1!`). A text of digits and
    punctuation alone has no core: parts of at least half its length are yielded, since any long
    number holds one of the short common ones somewhere (half is chosen).
    """
    core = [place for place, character in enumerate(text) if not _is_decoration(character)]
    first, last = (core[0], core[-1] + 1) if core else (len(text), 0)
    shortest = last - first if core else (len(text) + 1) // 2
    for length in _COMMON_LENGTHS:
        if shortest <= length <= len(text):
            for start in range(max(0, last - length), min(first, len(text) - length) + 1):
                yield text[start : start + length]


def _is_decoration(character: str) -> bool:
    """Return True for digits, punctuation and spaces; letters and emoji are none."""
    is_ascii_sign = character.isascii() and not character.isalpha()
    return is_ascii_sign or unicodedata.category(character)[0] in "NPZ"


def _is_own_word(password: str, context: Iterable[str]) -> bool:
    """Whether the password is a word that anyone who knows the user would try first.

    A short one is also refused as such a word with digits and signs around it ("Authserve1!"), or
    the rule for short passwords would itself lead there. A long one is compared as a whole only,
    since anything goes from 15 code points on.
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
    """Return True if it repeats one sequence of up to 7 code points, the last time perhaps cut.

    The sequence has to be there twice in full.
    """
    longest = min(_SHORT_SEQUENCE, len(password) // 2)
    return any(_has_period(password, period) for period in range(1, longest + 1))


def _fold(text: str) -> str:
    return normalize_password(text).casefold()


@cache
def load_common_passwords() -> frozenset[str]:
    """Return the 30,000 common passwords that zxcvbn ships, in lower case (ASVS 6.2.4: 3,000).

    The short ones count too, since they are refused with digits around them. Read at the first
    call; a server that forks calls it before, so that its workers share the 5 MB (measured).
    """
    # Split only after the module's lists are freed: the strings then lie close together, and
    # pages that would hold a few each return to the system.
    return frozenset(_read_common_passwords().split("\n"))


def _read_common_passwords() -> str:
    """Read the one list we want, a password a line.

    `import zxcvbn` would keep 13 MB (measured) of lists and rankings for good. So its file of
    lists is run as a module that nobody else can see, and emptied.
    """
    path = distribution("zxcvbn").locate_file("zxcvbn/frequency_lists.py")
    module = ModuleType("zxcvbn.frequency_lists")
    SourceFileLoader(module.__name__, str(path)).exec_module(module)
    lists: dict[str, list[str]] = module.FREQUENCY_LISTS
    passwords = "\n".join(lists["passwords"])
    lists.clear()
    return passwords
