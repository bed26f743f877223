"""What a session is at a moment, and what a refresh token is worth to it: decided from the row."""

import re
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from ipaddress import ip_address, ip_network
from typing import Protocol

MAX_SESSIONS_PER_USER = 50
"""Live sessions of one user; at a further sign-in the oldest ends (ASVS 7.1.2)."""


class RevokeReason(StrEnum):
    """Why a session ended before its time."""

    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    EVICTED = "evicted"
    REUSE_DETECTED = "reuse_detected"
    PASSWORD_CHANGED = "password_changed"
    DEACTIVATED = "deactivated"
    ENDED_BY_USER = "ended_by_user"
    ENDED_BY_ADMIN = "ended_by_admin"


class SessionState(Enum):
    """Whether a session still counts."""

    LIVE = auto()
    REVOKED = auto()
    EXPIRED = auto()


class RefreshVerdict(StrEnum):
    """What a refresh token of a live session is; log and audit trail call it by these names."""

    CURRENT = "current"
    JUST_REPLACED = "just_replaced"
    REPLACED_EARLIER = "replaced_earlier"
    OLDER_GENERATION = "older_generation"
    GENERATION_AHEAD = "generation_ahead"

    @property
    def is_reuse(self) -> bool:
        """Whether the session has to end: the token is not the present one's and was not just so.

        A generation ahead of the row is one that was never issued, unless the database was
        restored from an older copy; either way two holders disagree.
        """
        return self not in (RefreshVerdict.CURRENT, RefreshVerdict.JUST_REPLACED)


CLOCK_TOLERANCE = timedelta(seconds=30)
"""How far two machines' clocks may differ (chosen, as for tokens)."""


class SessionTimes(Protocol):
    """The columns of a session's row by which it is judged."""

    @property
    def revoked_at(self) -> datetime | None:
        """When it was ended, if it was."""

    @property
    def expires_at(self) -> datetime:
        """The absolute limit; it never moves."""

    @property
    def idle_expires_at(self) -> datetime:
        """The idle limit; every refresh moves it."""


def judge_session(session: SessionTimes, now: datetime) -> SessionState:
    """Judge a session; one that was revoked stays so after its limits have passed.

    A limit is the first moment that is too late.
    """
    if session.revoked_at is not None:
        return SessionState.REVOKED
    if now >= session.expires_at or now >= session.idle_expires_at:
        return SessionState.EXPIRED
    return SessionState.LIVE


def is_within_grace(rotated_at: datetime | None, *, now: datetime, grace: timedelta) -> bool:
    """Return True while a session that has rotated does not rotate again.

    A clock that was set back does not make a rotation of an hour ago a recent one: one that lies
    further ahead than `CLOCK_TOLERANCE` is not within the grace.

    Args:
        rotated_at: when the current generation began; None before the first refresh.
        now: by the same clock as `rotated_at`, whichever machine that was written on.
        grace: its end is included.
    """
    return rotated_at is not None and -CLOCK_TOLERANCE <= now - rotated_at <= grace


def judge_refresh(
    *,
    presented: int,
    current: int,
    rotated_at: datetime | None,
    now: datetime,
    grace: timedelta,
) -> RefreshVerdict:
    """Judge a refresh token by its generation.

    Args:
        presented: the generation in the token.
        current: the generation of the session's row.
        rotated_at, now: see `is_within_grace`.
        grace: how long the previous generation is still answered (RFC 9700 §4.14 leaves room for
            a retry after a lost answer; ASVS 10.4.5).
    """
    if presented == current:
        return RefreshVerdict.CURRENT
    if presented > current:
        return RefreshVerdict.GENERATION_AHEAD
    if presented < current - 1:
        return RefreshVerdict.OLDER_GENERATION
    if is_within_grace(rotated_at, now=now, grace=grace):
        return RefreshVerdict.JUST_REPLACED
    return RefreshVerdict.REPLACED_EARLIER


DEVICE_MEMORY = timedelta(days=90)
"""For how long a device stays known to an account after its last sign-in (design)."""

DEVICE_RESOLUTION = timedelta(days=1)
"""How exactly the last sign-in is kept, so that a device writes one row a day at most (chosen)."""

_NETWORK_PREFIXES = {4: 24, 6: 48}
"""Of the network within which an address may change: a provider's pool or a site (RFC 6177 §2)."""

_BROWSERS = (
    ("Edge", re.compile(r"\bEdgA?(?:iOS)?/")),
    ("Opera", re.compile(r"\bOPR/|\bOPT/")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\bFirefox/|\bFxiOS/")),
    ("Chrome", re.compile(r"\bChrome/|\bCriOS/|\bChromium/")),
    ("Safari", re.compile(r"\bVersion/[0-9.]+ (?:Mobile/\w+ )?Safari/")),
)
"""By name, in this order: the later ones stand in the earlier ones' User-Agent too."""

_PRODUCT = re.compile(r"[A-Za-z0-9._-]{1,32}")


def find_browser(user_agent: str | None) -> str | None:
    """Return the name of a well-known browser, fit to be shown; None for anything else."""
    names = (name for name, pattern in _BROWSERS if pattern.search(user_agent or ""))
    return next(names, None)


def find_browser_family(user_agent: str | None) -> str:
    """Return what stays the same of a User-Agent over versions: a browser, else the first product.

    A program that calls itself otherwise with each version is a new device each time.
    """
    product = _PRODUCT.match(user_agent or "")
    return find_browser(user_agent) or (product[0].lower() if product else "")


def find_device_network(ip: str | None) -> str:
    """Return the /24 or /48 network of a client address; empty behind a Unix socket."""
    if ip is None:
        return ""
    prefix = _NETWORK_PREFIXES[ip_address(ip).version]
    return str(ip_network((ip, prefix), strict=False))
