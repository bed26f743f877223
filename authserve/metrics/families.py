"""Every metric that a web process keeps: name, meaning and labels.

Each label has few values, all known in advance: unknown paths and methods add no series.
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
from authserve.core.levels import Proof
from authserve.mfa.assurance import ProofFailure

REQUEST_BUCKETS = (0.005, 0.015, 0.05, 0.15, 0.5, 1.0, 2.5, 5.0, 10.0)
"""In seconds. A token check may take 15 ms, or 150 ms under a storm of logins; a request of more
than 10 s has exceeded every timeout."""

HASH_BUCKETS = (0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
"""In seconds: from a fast, idle core to a core shared with ten others (chosen)."""

PROVIDER_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""In seconds: all calls of a sign-in to its provider may take 5 s (design)."""

REFRESH_OUTCOMES = {
    "token_reused": "reuse_detected",
    "token_expired": "expired",
    "session_revoked": "revoked",
    "invalid_token": "invalid",
}
"""The outcome of a refused refresh, by the code of its problem."""

FORWARD_AUTH_REFUSALS = {
    "sign_in_required": "signed_out",
    "not_open": "not_open",
    "foreign_peer": "foreign_peer",
    "unknown_origin": "unknown_origin",
    "rate_limited": "limited",
}
"""The outcome of a proxied request that was refused, by the code of its problem."""

FORWARD_AUTHS = ("allowed", "led_to_sign_in", *FORWARD_AUTH_REFUSALS.values(), "failed")

REFRESHES = ("rotated", "retried", *REFRESH_OUTCOMES.values(), "refused")

SIGN_IN_REFUSALS = {
    "too_many_attempts": "throttled",
    "rate_limited": "limited",
    "busy": "busy",
    "mfa_required": "mfa_required",
    "mfa_enrollment_required": "mfa_enrollment_required",
}
"""The outcome of a sign-in that emits no event, by the code of its problem: it was refused before
the password check, or a second step follows."""

FACTOR_OF_PROOF = {
    Proof.TOTP: "totp",
    Proof.RECOVERY_CODE: "recovery_code",
    Proof.PASSKEY: "passkey",
    Proof.EMAIL_CODE: "email_code",
}
"""The method of an accepted proof, by its name in the `amr` of an event."""

FACTOR_OF_FAILURE = {
    ProofFailure.WRONG_CODE: "totp",
    ProofFailure.CODE_REUSED: "totp",
    ProofFailure.SWITCHED_OFF: "totp",
    ProofFailure.WRONG_RECOVERY_CODE: "recovery_code",
    ProofFailure.UNKNOWN_PASSKEY: "passkey",
    ProofFailure.PASSKEY_REFUSED: "passkey",
    ProofFailure.PASSKEY_FLAGGED: "passkey",
    ProofFailure.WRONG_EMAIL_CODE: "email_code",
    # No proof is compared after the end of a pending sign-in.
    ProofFailure.PENDING_SIGN_IN_DEAD: "none",
}
"""The method of a refused proof, by the reason in its event."""

SECOND_FACTORS = (
    *((method, "success") for method in FACTOR_OF_PROOF.values()),
    *((method, failure) for failure, method in FACTOR_OF_FAILURE.items()),
)
"""Every pair of a method and an outcome."""

CODE_GRANT = "authorization_code"

REDEMPTIONS = ("success", "refused", "reused")
"""The outcomes of redemptions; a code that is used again late counts as refused too."""

SIGN_INS = ("success", *SignInFailure, *SIGN_IN_REFUSALS.values())

# The `_created` series only give the start time of another series; Prometheus detects it itself.
disable_created_metrics()  # type: ignore[no-untyped-call]

BREAKER_STATES = ("closed", "open", "half-open")


class Families:
    """The metrics of one process; under gunicorn, they are in files that all workers can read.

    Args:
        registry: the registry that collects them in this process.
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
        self.second_factors = Counter(
            "authserve_second_factors_total",
            "Proofs of sign-ins and step-ups other than passwords, by method and outcome.",
            ("method", "outcome"),
            registry=registry,
        )
        self.refreshes = Counter(
            "authserve_refreshes_total",
            "Attempts to refresh by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.oauth_tokens = Counter(
            "authserve_oauth_tokens_total",
            "Answers with tokens by grant type and client.",
            ("grant", "client"),
            registry=registry,
        )
        self.redemptions = Counter(
            "authserve_oauth_code_redemptions_total",
            "Attempts to exchange an authorization code by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.forward_auths = Counter(
            "authserve_forward_auth_total",
            "Requests that reverse proxies asked about, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self.provider_sign_ins = Counter(
            "authserve_provider_sign_ins_total",
            "Sign-ins by other providers, by outcome.",
            ("provider", "outcome"),
            registry=registry,
        )
        self.provider_faults = Counter(
            "authserve_provider_answers_refused_total",
            "Sign-ins by other providers that failed a check of the provider's answer.",
            ("provider", "check"),
            registry=registry,
        )
        self.provider_calls = Counter(
            "authserve_provider_calls_total",
            "Calls to other providers, by outcome.",
            ("host", "outcome"),
            registry=registry,
        )
        self.provider_durations = Histogram(
            "authserve_provider_call_duration_seconds",
            "Time of a call to another provider.",
            ("host",),
            buckets=PROVIDER_BUCKETS,
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
        """Create every series with 0, so that its first event is an increase."""
        for metric, values in (
            (self.sign_ins, SIGN_INS),
            (self.refreshes, REFRESHES),
            (self.redemptions, REDEMPTIONS),
            (self.forward_auths, FORWARD_AUTHS),
            (self.events, tuple(AuditAction)),
        ):
            for value in values:
                metric.labels(value)
        for pair in SECOND_FACTORS:
            self.second_factors.labels(*pair)


def _gauge(
    name: str, meaning: str, registry: CollectorRegistry, *, labels: tuple[str, ...] = ()
) -> Gauge:
    # "live": the value of a worker is removed when the worker ends.
    return Gauge(name, meaning, labels, registry=registry, multiprocess_mode="livesum")
