"""The API's messages about fields, in the words of pages.

The API writes English for developers. A page replaces each message that a form can lead to; numbers
in it fill the places `first` and `second`.
"""

import re
from collections.abc import Mapping

from authserve.web.languages import mark, translate

_NUMBER = re.compile(r"[0-9]+")

_TEXTS = {
    "Missing data for required field.": mark("Fill this in."),
    "Give the account's password, or send an access token of its user.": mark("Fill this in."),
    "Choose at least one.": mark("Choose at least one."),
    "Unknown field.": mark("This form has no such field. Reload the page and try again."),
    "Not a valid email address.": mark("That is not an email address."),
    "Addresses of this domain are not accepted here.": mark(
        "Addresses of this domain are not accepted here."
    ),
    "Not a code of digits.": mark("Type the digits of the code, and nothing else."),
    "Choose it later, in your own account.": mark("Choose it later, in your own account."),
    "Longer than maximum length #.": mark("Use at most %(first)s characters."),
    "Use at most # characters.": mark("Use at most %(first)s characters."),
    "Use at least # characters.": mark("Use at least %(first)s characters."),
    "Length must be between # and #.": mark("Use %(first)s to %(second)s characters."),
    "# to # characters.": mark("Use %(first)s to %(second)s characters."),
    "# to # letters, digits, dots, hyphens or underscores, with a letter or digit at both ends.": (
        mark(
            "Use %(first)s to %(second)s letters, digits, dots, hyphens or underscores, with a "
            "letter or digit at both ends."
        )
    ),
    "No control characters.": mark("One of these characters cannot be shown. Type the text again."),
    "At least one character that can be seen.": mark("Use a character that can be seen."),
    "Use text only; one of the characters is none.": mark(
        "One of these characters cannot be shown. Type the text again."
    ),
    "Below # characters, use an upper-case letter, a lower-case letter and a digit.": mark(
        "Below %(first)s characters, use an upper-case letter, a lower-case letter and a digit."
    ),
    "This password is, or is made of, one of the most common ones.": mark(
        "This password is, or is made of, one of the most common ones."
    ),
    "Do not use your address, your names or the name of this service.": mark(
        "Do not use your address, your names or the name of this service."
    ),
    "Do not just repeat one character or a short sequence.": mark(
        "Do not just repeat one character or a short sequence."
    ),
    "This password is known from a data breach. Choose one that you use nowhere else.": mark(
        "This password is known from a data breach. Choose one that you use nowhere else."
    ),
}
"""Texts by the API's message, in which `#` stands for a number."""


def in_page_words(errors: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the API's messages by field in the language of the page.

    A message that `_TEXTS` does not have may be a page's own, marked for the catalogs.
    """
    return {name: [_replace(message) for message in messages] for name, messages in errors.items()}


def _replace(message: str) -> str:
    text = _TEXTS.get(_NUMBER.sub("#", message))
    if text is None:
        return translate(message)
    numbers = dict(zip(("first", "second"), _NUMBER.findall(message), strict=False))
    return translate(text, **numbers)
