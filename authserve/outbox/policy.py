"""The states of a message, its retries and its retention."""

import random
from datetime import datetime, timedelta
from enum import StrEnum

LEASE = timedelta(seconds=45)
"""Time for which one worker holds a claimed message. It is far longer than a delivery may take
(10 s), so two workers never deliver one message at once; a killed worker's message is claimed again
within a minute."""

HORIZON = timedelta(hours=24)
"""Age at which an undelivered message is given up (chosen: a mail server may be down for a
night)."""

BACKOFF_BASE = timedelta(seconds=1)
BACKOFF_CAP = timedelta(seconds=100)
"""Bounds of the pause between retries, with full jitter. The cap is low, so that all mail is sent
within two minutes after a mail server recovers, however long it was down. The circuit breaker
protects the server meanwhile."""

MAX_REFUSALS = 3
"""Permanent refusals after which a message is given up (chosen). More than one, since servers also
answer so while their directory is being repaired."""

REFUSAL_PAUSE = timedelta(minutes=5)
"""Pause between a permanent refusal and the next try (chosen)."""

MAIL_DELAY = timedelta(minutes=10)
"""Age above which a pending mail is late: longer than any retry takes while the mail server answers
(chosen). Readiness and `flask doctor` report it."""

SENT_RETENTION = timedelta(days=7)
DEAD_RETENTION = timedelta(days=30)
"""Time for which finished messages are kept for inspection (chosen): sent and dropped ones for
`SENT_RETENTION`, given-up ones for `DEAD_RETENTION`."""


class MessageState(StrEnum):
    """The states of a message: a closed list. `DEAD` means given up."""

    PENDING = "pending"
    SENT = "sent"
    DROPPED = "dropped"
    DEAD = "dead"


SUPERSEDED = "superseded by a newer request"
"""Reason for dropping a message when a newer one of its topic replaces it."""


def next_attempt_at(now: datetime, *, attempts: int) -> datetime:
    """Return when to retry after `attempts` failures; full jitter keeps retries apart."""
    ceiling = min(BACKOFF_CAP, BACKOFF_BASE * (1 << min(attempts, 16)))
    return now + ceiling * random.random()  # noqa: S311 - spreads load


def is_given_up(created_at: datetime, now: datetime) -> bool:
    """Return True if the message is at least as old as `HORIZON`, so retries end."""
    return now - created_at >= HORIZON
