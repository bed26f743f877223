"""Every metric that a web process keeps: name, meaning, labels.

Each label has few values, all of them known: a stranger's paths and methods make no series.
"""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
)

from authserve.auth.policy import SignInFailure
from authserve.core.events import AuditAction

REQUEST_BUCKETS = (0.005, 0.015, 0.05, 0.15, 0.5, 1.0, 2.5, 5.0, 10.0)
"""In seconds. 15 and 150 ms are what a token check may take, calm and under a storm of logins;
what takes longer than 10 s has met every timeout there is."""

HASH_BUCKETS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""In seconds: from a fast core of its own to one that ten others share (chosen)."""

REFRESH_OUTCOMES = {
    "token_reused": "reuse_detected",
    "token_expired": "expired",
    "session_revoked": "revoked",
    "invalid_token": "invalid",
}
"""What a refused refresh counts as, by the code of its problem."""

REFRESHES = ("rotated", "retried", *REFRESH_OUTCOMES.values(), "refused")

SIGN_IN_REFUSALS = {"too_many_attempts": "throttled", "rate_limited": "limited", "busy": "busy"}
"""Sign-ins that end before the password is checked, by the code of their problem."""

SIGN_INS = ("success", *SignInFailure, *SIGN_IN_REFUSALS.values())

# Series that only say when another one began; Prometheus finds that out by itself.
disable_created_metrics()  # type: ignore[no-untyped-call]

BREAKER_STATES = ("closed", "open", "half-open")


class Families:
    """The metrics of one process; under gunicorn, in files that its other workers read.

    Args:
        registry: where they can be read in this process.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter(
            "authserve_http_requests_total",
            "Requests by method, route template and status.",
            ("method", "route", "status"),
            registry=registry,
        )
        self.durations = Histogram(
            "authserve_http_request_duration_seconds",
            "Time from taking a request to its answer.",
            ("method", "route"),
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.refusals = Counter(
            "authserve_http_refusals_total",
            "Requests answered with a problem, by its code.",
            ("code",),
            registry=registry,
        )
        self.sign_ins = Counter(
            "authserve_sign_ins_total",
            "Attempts to sign in by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.refreshes = Counter(
            "authserve_refreshes_total",
            "Attempts to refresh by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.events = Counter(
            "authserve_events_total",
            "Committed events of the audit trail by action.",
            ("action",),
            registry=registry,
        )
        self.hashes = Histogram(
            "authserve_password_hash_duration_seconds",
            "Time that hashing or verifying one password took, without waiting.",
            buckets=HASH_BUCKETS,
            registry=registry,
        )
        self._add_gauges(registry)
        self._show_zeros()

    def _add_gauges(self, registry: CollectorRegistry) -> None:
        self.workers = _gauge("authserve_workers", "Web workers that serve.", registry)
        self.hash_queue = _gauge(
            "authserve_password_hash_queue", "Callers that wait for a password hash.", registry
        )
        self.hash_queue_limit = _gauge(
            "authserve_password_hash_queue_limit", "Callers that may wait for one.", registry
        )
        self.pool_in_use = _gauge(
            "authserve_database_connections_in_use", "Pooled connections in use.", registry
        )
        self.pool_limit = _gauge(
            "authserve_database_connections_limit", "Connections that may be in use.", registry
        )
        self.breakers = _gauge(
            "authserve_breaker_workers",
            "Workers whose circuit breaker is in a state.",
            registry,
            labels=("breaker", "state"),
        )

    def _show_zeros(self) -> None:
        """Let what has not happened yet be 0, so that its first time is an increase."""
        for metric, values in (
            (self.sign_ins, SIGN_INS),
            (self.refreshes, REFRESHES),
            (self.events, tuple(AuditAction)),
        ):
            for value in values:
                metric.labels(value)


def _gauge(
    name: str, meaning: str, registry: CollectorRegistry, *, labels: tuple[str, ...] = ()
) -> Gauge:
    # "live": what a worker said is forgotten when it ends.
    return Gauge(name, meaning, labels, registry=registry, multiprocess_mode="livesum")
