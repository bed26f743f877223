"""Identifiers: UUIDv7 (RFC 9562 §5.7), so that primary keys grow with time.

They tell when they were made and are no secret (ASVS 11.5.1); whatever must be unguessable comes
from `core.crypto`.
"""

from uuid import UUID

from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A fresh identifier, greater than those made before it."""
    return uuid7()
