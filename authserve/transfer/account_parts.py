"""Parts of accounts that optional features add to the export, and read from an import.

It is small because the commands of features, which add their parts, need nothing else of an import.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from marshmallow import Schema

from authserve.core.container import ListSlot
from authserve.core.frozen import frozen

Records = Sequence[Mapping[str, Any]]
"""The records of one account."""


@frozen(kw_only=True)
class AccountPart:
    """A list of records that each account has in a row of JSON.

    Args:
        name: of the row's member.
        schema: loads one record.
        read: returns the records of accounts, in the form of a file; it leaves out accounts
            without any.
        write: stores the loaded records of new accounts, in the open transaction.
        max_records: greatest number of one account; None without a limit.
        is_credential: True if a record alone opens its account.
    """

    name: str
    schema: Schema
    read: Callable[[Sequence[UUID]], Mapping[UUID, Records]]
    write: Callable[[Mapping[UUID, Records]], None]
    max_records: int | None = None
    is_credential: bool = False


ACCOUNT_PARTS = ListSlot[AccountPart]("account_parts")
"""The parts of the features that are on."""

FEATURES_OF_PARTS: Mapping[str, str] = {"api_keys": "api-keys", "identities": "federation"}
"""The name in `FEATURES` of the feature that each member of a row needs."""
