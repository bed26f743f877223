"""The counters of one process, and the calls that increase them."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram

from authserve.core.breakers import BREAKERS, FURTHER_BREAKERS
from authserve.core.clock import now
from authserve.core.container import Slot
from authserve.core.events import AuditAction, DomainEvent
from authserve.database.transactions import after_commit, db
from authserve.metrics.families import (
    BREAKER_STATES,
    CODE_GRANT,
    FACTOR_OF_FAILURE,
    FACTOR_OF_PROOF,
    FORWARD_AUTH_REFUSALS,
    REFRESH_OUTCOMES,
    SIGN_IN_REFUSALS,
    Families,
)
from authserve.passwords.hasher import PASSWORD_HASHER

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

OTHER_METHOD = "other"
UNMATCHED = "unmatched"
"""The labels for all methods and paths that the service does not have."""


class Metrics:
    """All counters of this process. It is thread-safe and may be created before a fork."""

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
            method: the method as the caller sent it.
            route: the template of the path; None if no route matches.
        """
        key = (method if method in METHODS else OTHER_METHOD, route or UNMATCHED, status)
        # Finding a series by its labels costs more than counting; there are few series to keep.
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
        """Count an answer with a problem by the problem's code."""
        self.families.refusals.labels(code).inc()

    def count_refused_sign_in(self, code: str) -> None:
        """Count a sign-in that `SIGN_IN_REFUSALS` names; others emit events."""
        outcome = SIGN_IN_REFUSALS.get(code)
        if outcome is not None:
            self.families.sign_ins.labels(outcome).inc()

    def count_refresh(self, outcome: str | None, *, code: str | None) -> None:
        """Count an attempt to refresh.

        Args:
            outcome: `rotated` or `retried` if it succeeded.
            code: the code of the problem if it failed, else None.
        """
        if code is not None:
            outcome = REFRESH_OUTCOMES.get(code, "refused")
        self.families.refreshes.labels(outcome).inc()

    def count_tokens(self, grant_type: str, *, client_id: str, code: str | None) -> None:
        """Count a call for tokens of OAuth.

        Args:
            grant_type: one of those that exist.
            client_id: as the call named it; it is a label only after a success, so that strangers
                add no series.
            code: of the refusal, else None.
        """
        if code is None:
            self.families.oauth_tokens.labels(grant_type, client_id).inc()
        if grant_type == CODE_GRANT:
            self.families.redemptions.labels("success" if code is None else "refused").inc()

    def count_forward_auth(self, outcome: str | None, *, code: str | None) -> None:
        """Count a request that a reverse proxy asked about.

        Args:
            outcome: `allowed` or `led_to_sign_in` if it was answered.
            code: the code of the problem if it was refused, else None.
        """
        if code is not None:
            outcome = FORWARD_AUTH_REFUSALS.get(code, "failed")
        self.families.forward_auths.labels(outcome or "failed").inc()

    def count_event(self, event: DomainEvent) -> None:
        """Count a committed event."""
        self.families.events.labels(event.action).inc()
        if event.action is AuditAction.SESSION_STARTED:
            self.families.sign_ins.labels("success").inc()
        elif event.action is AuditAction.SESSION_SIGN_IN_FAILED:
            self.families.sign_ins.labels(event.details["reason"]).inc()
        elif event.action is AuditAction.OAUTH_CODE_REUSED:
            self.families.redemptions.labels("reused").inc()
        if event.action in _PROVIDER_SIGN_INS and "provider" in event.details:
            outcome = event.details.get("reason", "success")
            self.families.provider_sign_ins.labels(event.details["provider"], outcome).inc()
        for pair in _second_factors_of(event):
            self.families.second_factors.labels(*pair).inc()

    def observe_hash(self, duration_secs: float) -> None:
        """Record the seconds that hashing or verifying one password took."""
        self.families.hashes.observe(duration_secs)

    def observe_provider_call(self, host: str, is_answered: bool, duration_secs: float) -> None:
        """Record a call to a provider of sign-in, and whether its answer could be used."""
        outcome = "answered" if is_answered else "failed"
        self.families.provider_calls.labels(host, outcome).inc()
        self.families.provider_durations.labels(host).observe(duration_secs)

    def count_provider_fault(self, provider: str, check: str) -> None:
        """Count a sign-in that failed a check of its provider's answer.

        Args:
            provider: the slug.
            check: of `federation.answer_faults.AnswerFault`.
        """
        self.families.provider_faults.labels(provider, check).inc()

    def sample(self) -> None:
        """Set the gauges to the current state of this process."""
        families, hasher, pool = self.families, PASSWORD_HASHER.get(), db.engine.pool
        families.workers.set(1)
        families.hash_queue.set(hasher.waiting)
        families.hash_queue_limit.set(hasher.queue_size)
        families.pool_in_use.set(pool.checkedout())  # type: ignore[attr-defined]
        families.pool_limit.set(pool.size())  # type: ignore[attr-defined]
        find_further = FURTHER_BREAKERS.find() or tuple
        found = [(each.name, each.state) for each in (*BREAKERS.get(), *find_further())]
        # Providers with issuers at one host, such as tenants of Microsoft, share a name.
        for name in {name for name, _ in found}:
            for state in BREAKER_STATES:
                families.breakers.labels(name, state).set(found.count((name, state)))


_SIGN_INS = frozenset({AuditAction.SESSION_STARTED, AuditAction.SESSION_REAUTHENTICATED})

_PROVIDER_SIGN_INS = frozenset(
    {
        AuditAction.SESSION_STARTED,
        AuditAction.SESSION_SIGN_IN_FAILED,
        AuditAction.IDENTITY_SIGN_IN_REFUSED,
    }
)
"""The events that end a sign-in; those by a provider name it."""

_FAILURES = frozenset(
    {AuditAction.SESSION_SIGN_IN_FAILED, AuditAction.SESSION_SECOND_FACTOR_FAILED}
)


def _second_factors_of(event: DomainEvent) -> Iterator[tuple[str, str]]:
    """Yield the method and the outcome of each proof, but passwords, that an event is about."""
    if event.action in _SIGN_INS:
        for proof in event.details.get("amr", ()):
            if proof in FACTOR_OF_PROOF:
                yield FACTOR_OF_PROOF[proof], "success"
    elif event.action in _FAILURES and event.details["reason"] in FACTOR_OF_FAILURE:
        reason = event.details["reason"]
        yield FACTOR_OF_FAILURE[reason], reason


METRICS = Slot[Metrics]("metrics")
"""Filled only if `METRICS_TOKEN` is set."""


def count_when_committed(event: DomainEvent) -> None:
    """Handle any domain event: count it after its transaction commits."""
    after_commit(lambda: METRICS.get().count_event(event))
