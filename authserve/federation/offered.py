"""The providers that pages offer, in the memory of each worker.

The page to sign in asks the database nothing, so that a flood of visitors costs it nothing.
"""

import logging
from collections.abc import Callable, Sequence
from threading import Lock
from time import monotonic
from typing import Any
from uuid import UUID

from sqlalchemy import Row, bindparam, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from authserve.database.statements import table_of
from authserve.database.transactions import read_all
from authserve.federation.models import Identity, IdentityProvider
from authserve.web.sign_in_providers import SignInProvider

logger = logging.getLogger(__name__)

CACHE_SECS = 30.0
"""Age at which a worker reads the providers anew, in seconds (design)."""

RETRY_SECS = 5.0
"""Time after a failed read until the next one, in seconds (chosen: one visitor waits for it)."""

_TABLE, _IDENTITIES = table_of(IdentityProvider), table_of(Identity)

# The operator chooses the order by adding the most common provider first.
_STATEMENT = (
    select(_TABLE.c.slug, _TABLE.c.name, _TABLE.c.sign_up)
    .where(_TABLE.c.enabled.is_(True))
    .order_by(_TABLE.c.created_at, _TABLE.c.slug)
)

_LINKED = _STATEMENT.where(
    _TABLE.c.issuer.in_(
        select(_IDENTITIES.c.issuer).where(_IDENTITIES.c.user_id == bindparam("owner_id"))
    )
)


def find_linked_providers(user_id: UUID) -> Sequence[SignInProvider]:
    """Return the enabled providers that open an account, in the order of their buttons."""
    return _providers_of(read_all(_LINKED, {"owner_id": user_id}))


def _providers_of(rows: Sequence[Row[Any]]) -> Sequence[SignInProvider]:
    return tuple(SignInProvider(row.slug, row.name, row.sign_up) for row in rows)


class OfferedProviders:
    """The enabled providers in the order in which they were added.

    It is thread-safe. One thread reads them anew, and meanwhile the others return the former ones.

    Args:
        clock: a clock in seconds that never goes back.
    """

    def __init__(self, *, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._found: Sequence[SignInProvider] | None = None
        self._expires_at = clock()

    def find(self) -> Sequence[SignInProvider]:
        """Return the providers; while the database is away, those that were read last."""
        if self._clock() >= self._expires_at:
            self._refresh()
        return self._found or ()

    def _refresh(self) -> None:
        # Before the first read there is nothing to return, so that every thread waits for it.
        if not self._lock.acquire(blocking=self._found is None):
            return
        try:
            if self._clock() >= self._expires_at:
                self._read()
        finally:
            self._lock.release()

    def _read(self) -> None:
        lifetime_secs = CACHE_SECS
        try:
            self._found = _providers_of(read_all(_STATEMENT))
        except (DBAPIError, PoolTimeoutError) as error:
            # The page works without buttons; what a person does there meets the same outage.
            logger.warning("providers not read", extra={"reason": type(error).__name__})
            self._found, lifetime_secs = self._found or (), RETRY_SECS
        self._expires_at = self._clock() + lifetime_secs
