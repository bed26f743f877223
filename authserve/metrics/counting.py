"""What is counted when, in one process."""

from typing import cast

from prometheus_client import CollectorRegistry, Counter, Histogram

from authserve.core.breakers import all_breakers
from authserve.core.clock import now
from authserve.core.container import component
from authserve.core.events import DomainEvent
from authserve.database.transactions import after_commit, db
from authserve.metrics.families import BREAKER_STATES, REFRESH_OUTCOMES, SIGN_IN_REFUSALS, Families
from authserve.passwords.hasher import get_password_hasher
from authserve.sessions.events import SessionStarted, SignInFailed

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

OTHER_METHOD = "other"
UNMATCHED = "unmatched"
"""What stands for all methods and paths that are not the service's."""


class Metrics:
    """Everything that this process counts. Safe for threads, and to make before a fork."""

    def __init__(self, *, version: str) -> None:
        self.version = version
        self.started_at = now().timestamp()
        self.registry = CollectorRegistry()
        self.families = Families(self.registry)
        self._by_request: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def count_request(
        self, *, method: str, route: str | None, status: int, duration_secs: float
    ) -> None:
        """Count an answered request.

        Args:
            method: whatever the caller sent.
            route: the template of the path, None where no call fits it.
        """
        key = (method if method in METHODS else OTHER_METHOD, route or UNMATCHED, status)
        # Looking a series up by its labels costs more than counting; there are few of them.
        requests, durations = self._by_request.get(key) or self._bind(key)
        requests.inc()
        durations.observe(duration_secs)

    def _bind(self, key: tuple[str, str, int]) -> tuple[Counter, Histogram]:
        method, route, status = key
        return self._by_request.setdefault(
            key,
            (
                self.families.requests.labels(method, route, str(status)),
                self.families.durations.labels(method, route),
            ),
        )

    def count_refusal(self, code: str) -> None:
        """Count a problem by its code."""
        self.families.refusals.labels(code).inc()

    def count_refused_sign_in(self, code: str) -> None:
        """Count a sign-in that ended before it was judged; others are events."""
        outcome = SIGN_IN_REFUSALS.get(code)
        if outcome is not None:
            self.families.sign_ins.labels(outcome).inc()

    def count_refresh(self, outcome: str | None, *, code: str | None) -> None:
        """Count an attempt to refresh.

        Args:
            outcome: `rotated` or `retried`, where it succeeded.
            code: of the problem, where it did not.
        """
        if code is not None:
            outcome = REFRESH_OUTCOMES.get(code, "refused")
        self.families.refreshes.labels(outcome).inc()

    def count_event(self, event: DomainEvent) -> None:
        """Count something that happened, and is committed."""
        self.families.events.labels(event.action).inc()
        if isinstance(event, SessionStarted):
            self.families.sign_ins.labels("success").inc()
        elif isinstance(event, SignInFailed):
            self.families.sign_ins.labels(event.details["reason"]).inc()

    def observe_hash(self, duration_secs: float) -> None:
        """Take in how long one password took."""
        self.families.hashes.observe(duration_secs)

    def sample(self) -> None:
        """Say how this process is doing at the moment."""
        families, hasher, pool = self.families, get_password_hasher(), db.engine.pool
        families.workers.set(1)
        families.hash_queue.set(hasher.waiting)
        families.hash_queue_limit.set(hasher.queue_size)
        families.pool_in_use.set(pool.checkedout())  # type: ignore[attr-defined]
        families.pool_limit.set(pool.size())  # type: ignore[attr-defined]
        for breaker in all_breakers():
            present = breaker.state
            for state in BREAKER_STATES:
                families.breakers.labels(breaker.name, state).set(state == present)


METRICS_EXTENSION = "authserve.metrics"


def get_metrics() -> Metrics:
    """What the running application counts with; it has nothing without `METRICS_TOKEN`."""
    return cast(Metrics, component(METRICS_EXTENSION))


def count_when_committed(event: DomainEvent) -> None:
    """Handle any domain event: count it, unless the transaction comes to nothing."""
    after_commit(lambda: get_metrics().count_event(event))
