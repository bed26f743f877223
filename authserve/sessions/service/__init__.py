"""The life of a session: start, rotate, end, list, purge."""

from authserve.sessions.models import Session
from authserve.sessions.policy import RevokeReason, SessionState, judge_session
from authserve.sessions.service.ending import (
    end_other_sessions,
    end_session,
    end_sessions,
    end_sessions_issued_before,
    end_sessions_of_deactivated,
    purge_dead_sessions,
)
from authserve.sessions.service.listing import (
    count_live_sessions,
    find_all_sessions,
    find_live_sessions,
    is_of_family,
    page_of_live_sessions,
)
from authserve.sessions.service.restored import has_restored_sessions
from authserve.sessions.service.rotation import (
    ADVANCE,
    PresentedRefresh,
    Rotation,
    rotate_session,
)
from authserve.sessions.service.rows import IssuedSession, require_live
from authserve.sessions.service.seen_devices import (
    has_other_devices,
    purge_forgotten_devices,
    record_device,
)
from authserve.sessions.service.starting import (
    BEGIN,
    Start,
    renew_authentication,
    start_session,
)

__all__ = [
    "ADVANCE",
    "BEGIN",
    "IssuedSession",
    "PresentedRefresh",
    "RevokeReason",
    "Rotation",
    "Session",
    "SessionState",
    "Start",
    "count_live_sessions",
    "end_other_sessions",
    "end_session",
    "end_sessions",
    "end_sessions_issued_before",
    "end_sessions_of_deactivated",
    "find_all_sessions",
    "find_live_sessions",
    "has_other_devices",
    "has_restored_sessions",
    "is_of_family",
    "judge_session",
    "page_of_live_sessions",
    "purge_dead_sessions",
    "purge_forgotten_devices",
    "record_device",
    "renew_authentication",
    "require_live",
    "rotate_session",
    "start_session",
]
