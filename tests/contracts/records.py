"""The JSON of what is recorded, in lines that a diff shows well."""

import json
from collections.abc import Iterable
from typing import Any

LINE = 240
"""Characters of a line of the record: a body of a refusal fits."""


def written(value: Any, indent: str = "") -> str:
    """Return JSON in which what fits on a line has one."""
    text = json.dumps(value)
    if not isinstance(value, dict | list) or len(indent + text) <= LINE:
        return text
    inner = f"{indent} "
    if isinstance(value, list):
        return joined("[]", (inner + written(each, inner) for each in value), indent)
    members = (f"{inner}{json.dumps(key)}: {written(value[key], inner)}" for key in value)
    return joined("{}", members, indent)


def joined(brackets: str, parts: Iterable[str], indent: str) -> str:
    """Return the members of an object or a list, each on lines of its own."""
    return brackets[0] + "\n" + ",\n".join(parts) + f"\n{indent}{brackets[1]}"
