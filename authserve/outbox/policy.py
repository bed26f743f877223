"""The life of a message, and when the next try is due."""

import random
from datetime import datetime, timedelta
from enum import StrEnum

LEASE = timedelta(seconds=45)
"""For how long a claimed message is one worker's: far more than a delivery may take (10 s), so
two never deliver it at once; and a killed worker's messages go on within a minute."""

HORIZON = timedelta(hours=24)
"""After this a message that nobody took is given up (chosen: a mail server may be away for a
night)."""

BACKOFF_BASE = timedelta(seconds=1)
BACKOFF_CAP = timedelta(seconds=100)
"""Full jitter from 1 s. The cap is low, so that all mail is out two minutes after a mail server
came back, however long it was away; the circuit breaker is what spares it meanwhile."""

MAX_REFUSALS = 3
"""Tries of a message that are refused for good before it is given up. More than one, since servers
answer so while their directory is being repaired, too (chosen)."""

REFUSAL_PAUSE = timedelta(minutes=5)
"""How long after such a refusal the next try is due (chosen)."""

SENT_RETENTION = timedelta(days=7)
DEAD_RETENTION = timedelta(days=30)
"""For how long delivered and given-up messages can still be looked at (chosen)."""


class MessageState(StrEnum):
    """What became of a message: a closed list."""

    PENDING = "pending"
    SENT = "sent"
    DROPPED = "dropped"
    DEAD = "dead"


SUPERSEDED = "superseded by a newer request"
"""Why a message is dropped whose topic has moved on."""


def next_attempt_at(now: datetime, *, attempts: int) -> datetime:
    """When to try again after the `attempts`-th failure: full jitter, so retries never march."""
    ceiling = min(BACKOFF_CAP, BACKOFF_BASE * (1 << min(attempts, 16)))
    return now + ceiling * random.random()  # noqa: S311 - spreads load


def is_given_up(created_at: datetime, now: datetime) -> bool:
    """Whether a message has been tried for long enough."""
    return now - created_at >= HORIZON
