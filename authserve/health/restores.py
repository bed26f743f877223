"""Check for live sessions that came from a restored backup."""

from authserve.health.finding import Finding, Level
from authserve.sessions.restored import has_restored_sessions


def sessions() -> Finding:
    """Warn of live sessions from a restored dump: some may have been ended since it was made."""
    is_restored = has_restored_sessions()
    if is_restored:
        message = (
            "Live sessions came from a backup, and some of them may have been ended since it was "
            "taken: run `flask sessions revoke --issued-before` with the time of the restore."
        )
        return Finding("sessions", Level.WARNING, message)
    if is_restored is None:
        return Finding("sessions", Level.OK, "Only of PostgreSQL can one tell if it was restored.")
    return Finding("sessions", Level.OK, "No live session came from a dump.")
