"""Checks that the audit trail is sealed, verified every night, and under the current secret."""

from datetime import timedelta

from authserve.audit.nightly import find_last_verification
from authserve.audit.rewrap import count_former_heads
from authserve.audit.seal import find_oldest_unsealed
from authserve.core.clock import now, to_rfc3339
from authserve.health.finding import Finding, Level
from authserve.settings.model import Settings

LATE = timedelta(minutes=10)
"""The age at which an unsealed event is late; a running worker seals about every minute (chosen,
not measured)."""

NIGHTS_MISSED = timedelta(days=3)
"""The age above which the last verification is too old (chosen)."""


def audit_trail() -> Finding:
    """Warn of events that stay unsealed: a change of them would not be detected."""
    oldest = find_oldest_unsealed()
    if oldest is not None and now() - oldest > LATE:
        message = "Audit events wait for over ten minutes to be sealed: does `flask worker` run?"
        return Finding("audit", Level.WARNING, message)
    return Finding("audit", Level.OK, "Audit events are sealed as they come.")


def audit_verification() -> Finding:
    """Report the outcome of the last nightly verification."""
    last = find_last_verification()
    if last is None:
        return Finding("audit verification", Level.OK, "No night has passed with a worker yet.")
    if last.fault is not None:
        message = f"The audit trail was tampered with: {last.fault}. See docs/audit.md, Verifying."
        return Finding("audit verification", Level.FAILURE, message)
    if now() - last.at > NIGHTS_MISSED:
        message = f"The audit trail was last verified at {to_rfc3339(last.at)}: is a worker killed?"
        return Finding("audit verification", Level.WARNING, message)
    at = to_rfc3339(last.at)
    return Finding("audit verification", Level.OK, f"The audit trail was whole at {at}.")


def former_secrets(settings: Settings) -> Finding:
    """Check that no batch of the audit trail still needs a former `SECRET_KEY`."""
    name = "former secrets"
    count = count_former_heads()
    if not count:
        return Finding(name, Level.OK, "The audit trail needs no former SECRET_KEY.")
    if settings.secret_key_fallbacks:
        message = (
            f"A former SECRET_KEY vouches for {count} batches of the audit trail: run "
            "`flask audit rewrap` before it is dropped from SECRET_KEY_FALLBACKS."
        )
        return Finding(name, Level.WARNING, message)
    message = (
        f"The present SECRET_KEY does not vouch for {count} batches of the audit trail: put the "
        "former one into SECRET_KEY_FALLBACKS and run `flask audit rewrap`."
    )
    return Finding(name, Level.FAILURE, message)
