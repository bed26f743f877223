"""Identifiers: UUIDv7 (RFC 9562 §5.7), so that primary keys grow with time.

They reveal their creation time and are not secret (ASVS 11.5.1). Unguessable values come from
`core.crypto`.
"""

import re
from collections.abc import Callable
from uuid import UUID

from uuid_utils.compat import uuid7

_HYPHENATED = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


new_id: Callable[[], UUID] = uuid7
"""Return a new identifier, greater than those that this process made before."""


def read_id(text: str) -> UUID | None:
    """Parse an id, or return None if the text is not one.

    Only the hyphenated form is accepted, in either letter case (RFC 9562 §4). Python's `UUID`
    also accepts 32 digits without hyphens, which can be another account's username.
    """
    return UUID(text) if _HYPHENATED.fullmatch(text) else None
