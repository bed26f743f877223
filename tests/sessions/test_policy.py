"""The states of sessions and refresh tokens: their boundaries, one by one."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from authserve.sessions.policy import (
    CLOCK_TOLERANCE,
    RefreshVerdict,
    SessionState,
    check_refresh,
    check_session,
)

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)
GRACE = timedelta(seconds=10)


@dataclass(frozen=True)
class Times:
    """The columns that decide a session's state; by default it is live."""

    revoked_at: datetime | None = None
    expires_at: datetime = NOW + timedelta(days=30)
    idle_expires_at: datetime = NOW + timedelta(days=14)


@pytest.mark.parametrize(
    ("times", "state"),
    [
        (Times(), SessionState.LIVE),
        (Times(expires_at=NOW + INSTANT), SessionState.LIVE),
        (Times(expires_at=NOW), SessionState.EXPIRED),
        (Times(expires_at=NOW - INSTANT), SessionState.EXPIRED),
        (Times(idle_expires_at=NOW + INSTANT), SessionState.LIVE),
        (Times(idle_expires_at=NOW), SessionState.EXPIRED),
        (Times(idle_expires_at=NOW - INSTANT), SessionState.EXPIRED),
        (Times(expires_at=NOW, idle_expires_at=NOW), SessionState.EXPIRED),
        (Times(revoked_at=NOW), SessionState.REVOKED),
        (Times(revoked_at=NOW - timedelta(days=1)), SessionState.REVOKED),
        # Another machine's clock may be ahead.
        (Times(revoked_at=NOW + timedelta(seconds=30)), SessionState.REVOKED),
        (Times(revoked_at=NOW, expires_at=NOW), SessionState.REVOKED),
        (Times(revoked_at=NOW, idle_expires_at=NOW), SessionState.REVOKED),
    ],
)
def test_a_limit_is_the_first_moment_too_late(times: Times, state: SessionState) -> None:
    assert check_session(times, NOW) is state


def judge(
    presented: int,
    *,
    current: int = 7,
    age: timedelta | None = timedelta(0),
    grace: timedelta = GRACE,
) -> RefreshVerdict:
    rotated_at = None if age is None else NOW - age
    return check_refresh(
        presented=presented, current=current, rotated_at=rotated_at, now=NOW, grace=grace
    )


@pytest.mark.parametrize(
    ("presented", "age", "verdict"),
    [
        (7, timedelta(0), RefreshVerdict.CURRENT),
        (7, timedelta(days=14), RefreshVerdict.CURRENT),
        (6, timedelta(0), RefreshVerdict.JUST_REPLACED),
        (6, GRACE - INSTANT, RefreshVerdict.JUST_REPLACED),
        (6, GRACE, RefreshVerdict.JUST_REPLACED),
        (6, GRACE + INSTANT, RefreshVerdict.REPLACED_EARLIER),
        (6, timedelta(days=14), RefreshVerdict.REPLACED_EARLIER),
        (5, timedelta(0), RefreshVerdict.OLDER_GENERATION),
        (0, timedelta(0), RefreshVerdict.OLDER_GENERATION),
        (8, timedelta(0), RefreshVerdict.GENERATION_AHEAD),
        (2**31 - 1, timedelta(0), RefreshVerdict.GENERATION_AHEAD),
    ],
)
def test_only_the_parent_is_answered_and_for_the_grace_alone(
    presented: int, age: timedelta, verdict: RefreshVerdict
) -> None:
    assert judge(presented, age=age) is verdict


def test_another_machines_clock_may_be_ahead() -> None:
    assert judge(6, age=-CLOCK_TOLERANCE) is RefreshVerdict.JUST_REPLACED


def test_a_clock_set_back_revives_no_spent_token() -> None:
    assert judge(6, age=-CLOCK_TOLERANCE - INSTANT) is RefreshVerdict.REPLACED_EARLIER
    assert judge(6, age=-timedelta(hours=1)) is RefreshVerdict.REPLACED_EARLIER


def test_without_a_grace_only_the_same_moment_is_answered() -> None:
    assert judge(6, age=timedelta(0), grace=timedelta(0)) is RefreshVerdict.JUST_REPLACED
    assert judge(6, age=-INSTANT, grace=timedelta(0)) is RefreshVerdict.JUST_REPLACED
    assert judge(6, age=INSTANT, grace=timedelta(0)) is RefreshVerdict.REPLACED_EARLIER


def test_a_session_never_refreshed_has_no_parent_generation() -> None:
    assert judge(0, current=0, age=None) is RefreshVerdict.CURRENT
    assert judge(1, current=0, age=None) is RefreshVerdict.GENERATION_AHEAD


@pytest.mark.parametrize("verdict", RefreshVerdict)
def test_a_token_neither_current_nor_just_replaced_is_reuse(verdict: RefreshVerdict) -> None:
    is_answered = verdict in (RefreshVerdict.CURRENT, RefreshVerdict.JUST_REPLACED)
    assert verdict.is_reuse is not is_answered
