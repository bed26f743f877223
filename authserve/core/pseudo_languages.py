"""Languages for tests of layout, made from the English texts: longer, accented, right to left.

A text that no code translates stays plain on a page in them, and a page that has no room for a
longer text overflows. They exist outside production alone and have no catalog.
"""

import re
from gettext import NullTranslations

PSEUDO_LANGUAGES = ("qps", "qps-plocm")
"""Their tags, of the range for private use (BCP 47, `qaa` to `qtz`)."""

OPENING, CLOSING = "⟦", "⟧"
"""The marks around each text, so that a cut or untranslated one is seen."""

GROWTH = 0.4
"""Part of a text's length that is added to it: German and Spanish need some 30 % more (W3C, "Text
size in translation")."""

_ACCENTS = str.maketrans(
    "AaCcDdEeGgHhIiJjKkLlNnOoRrSsTtUuWwYyZz",
    "ÅåÇçĎďÉéĜĝĤĥÎîĴĵĶķĻļÑñÖöŔŕŠšŢţÛûŴŵÝýŽž",
)

_PLACE = re.compile(r"(%\([a-z_]+\)[sd]|%%)")
"""A place of a value, or a percent sign."""

_RIGHT_TO_LEFT, _END = "\u202e", "\u202c"
"""Force the direction of the characters between them (Unicode, UAX #9 §2.2)."""


class PseudoTranslations(NullTranslations):
    """The texts of a pseudo-language.

    Args:
        is_mirrored: True if its characters run from right to left.
    """

    def __init__(self, *, is_mirrored: bool) -> None:
        super().__init__()
        self._is_mirrored = is_mirrored

    def gettext(self, message: str) -> str:
        """Return a text with accents and room, its places as they are."""
        parts = _PLACE.split(message)
        accented = "".join(
            part if _PLACE.fullmatch(part) else part.translate(_ACCENTS) for part in parts
        )
        padding = "·" * round(len(message) * GROWTH)
        text = f"{OPENING}{accented} {padding}{CLOSING}"
        return f"{_RIGHT_TO_LEFT}{text}{_END}" if self._is_mirrored else text

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        """Return the form of a text that fits a number, by English rules."""
        return self.gettext(super().ngettext(msgid1, msgid2, n))
