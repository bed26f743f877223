"""Parser and rule of the languages of pages and mails. It is small because nothing else fits."""

from collections.abc import Mapping
from typing import Any

from marshmallow import ValidationError

from authserve.core.languages import LANGUAGE_NAMES
from authserve.settings.parsers import split_list


def parse_languages(raw: str) -> tuple[str, ...]:
    """Parse tags of `LANGUAGE_NAMES`, separated by commas or spaces, each once."""
    tags = tuple(split_list(raw.lower()))
    if not tags or len(set(tags)) < len(tags) or not set(tags) <= LANGUAGE_NAMES.keys():
        raise ValidationError(f"must list some of: {', '.join(LANGUAGE_NAMES)}")
    return tags


def choose_default_language(values: dict[str, Any], raw: Mapping[str, str]) -> list[str]:
    """Return the fault of a `DEFAULT_LANGUAGE` that is not offered; without one, choose it.

    The default of `Settings` is kept where it is offered; else the first language is chosen.
    """
    languages, default = values.get("languages"), values.get("default_language")
    if languages is None or default is None or default in languages:
        return []
    if "DEFAULT_LANGUAGE" in raw:
        return ["DEFAULT_LANGUAGE: must be one of LANGUAGES; change one of the two"]
    values["default_language"] = languages[0]
    return []
