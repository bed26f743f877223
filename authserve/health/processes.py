"""Checks of the running processes: the worker, and the number of server processes."""

from datetime import timedelta

from authserve.core.clock import now
from authserve.core.cpu_quota import count_usable_cores, find_cpu_quota
from authserve.health.finding import Finding, Level
from authserve.outbox.heartbeat import find_last_heartbeat
from authserve.settings.model import Settings

MAX_SILENCE = timedelta(minutes=10)
"""The age of the last heartbeat at which a worker counts as stopped; a running worker writes one
every minute (chosen)."""


def worker() -> Finding:
    """Warn if no worker has run lately: without one, no mail is sent and no event is sealed."""
    name = "worker"
    seen_at = find_last_heartbeat()
    if seen_at is None:
        return Finding(name, Level.WARNING, "No worker has run yet: start `flask worker`.")
    silence = now() - seen_at
    if silence > MAX_SILENCE:
        minutes = int(silence.total_seconds()) // 60
        message = f"No worker has been alive for {minutes} minutes: start `flask worker`."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "A worker runs.")


def web_workers(settings: Settings) -> Finding:
    """Warn if there are more server processes than usable cores."""
    name = "cores"
    cores, wanted = count_usable_cores(), settings.web_concurrency
    quota = find_cpu_quota()
    limit = "" if quota is None else f" (its CPU quota is {quota:g})"
    message = f"WEB_CONCURRENCY is {wanted}; this machine lets it use {cores} cores{limit}."
    if wanted > cores:
        return Finding(name, Level.WARNING, f"{message} Lower it, or raise the quota.")
    return Finding(name, Level.OK, message)
