"""Identifiers: UUIDv7 (RFC 9562 §5.7), so that primary keys grow with time.

They tell when they were made and are no secret (ASVS 11.5.1); whatever must be unguessable comes
from `core.crypto`.
"""

import re
from uuid import UUID

from uuid_utils.compat import uuid7

_HYPHENATED = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")


def new_id() -> UUID:
    """A fresh identifier, greater than those made before it."""
    return uuid7()


def read_id(text: str) -> UUID | None:
    """Return the id that a text is, or None for any other text.

    An id has the one form in which the service writes it, in either letter case (RFC 9562 §4).
    Python's `UUID` also takes 32 digits without hyphens, which can be another account's username.
    """
    return UUID(text) if _HYPHENATED.fullmatch(text) else None
