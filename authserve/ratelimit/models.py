"""Table of counters."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Index, Integer, bindparam
from sqlalchemy.orm import Mapped, mapped_column

from authserve.database.statements import Base, UTCDateTime, key_string, table_of

KEY_MAX_LENGTH = 200

THROTTLE_PREFIX = "failures:"
"""Prefix of all keys of the login throttle; all other keys belong to ordinary limits."""


class RateCounter(Base):
    """Number of hits since a window began; the row is void from `expires_at` on."""

    __tablename__ = "rate_counters"
    __table_args__ = (Index("ix_rate_counters_expires_at", "expires_at"),)

    key: Mapped[str] = mapped_column(key_string(KEY_MAX_LENGTH), primary_key=True)
    hits: Mapped[int] = mapped_column(Integer)
    expires_at: Mapped[datetime] = mapped_column(UTCDateTime)


TABLE = table_of(RateCounter)

MAX_NAMES = 4
"""Most counters that one statement reads: those of a sign-in from a client address."""

_PARAMETERS = [f"name_{number}" for number in range(MAX_NAMES)]

IS_NAMED = TABLE.c.key.in_([bindparam(parameter) for parameter in _PARAMETERS])
"""True of the counters that `name_parameters` names. Statements that are compiled once cannot take
a list."""


def name_parameters(names: Sequence[str]) -> dict[str, str]:
    """Return the parameters of `IS_NAMED`.

    Raises:
        ValueError: more than `MAX_NAMES`.
    """
    # No counter has an empty name.
    padded = [*names, *[""] * (MAX_NAMES - len(names))]
    return dict(zip(_PARAMETERS, padded, strict=True))
