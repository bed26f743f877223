"""State of a session, validity of its refresh tokens, and classification of devices."""

import re
from datetime import datetime, timedelta
from enum import Enum, StrEnum, auto
from ipaddress import ip_address, ip_network
from typing import Protocol

MAX_SESSIONS_PER_USER = 50
"""Greatest number of live sessions of one user; one more sign-in ends the oldest (ASVS 7.1.2)."""


class RevokeReason(StrEnum):
    """Reasons for which a session is revoked."""

    LOGOUT = "logout"
    LOGOUT_ALL = "logout_all"
    EVICTED = "evicted"
    REUSE_DETECTED = "reuse_detected"
    PASSWORD_CHANGED = "password_changed"
    DEACTIVATED = "deactivated"
    ENDED_BY_USER = "ended_by_user"
    ENDED_BY_ADMIN = "ended_by_admin"


class SessionState(Enum):
    """State of a session; only a live one is accepted."""

    LIVE = auto()
    REVOKED = auto()
    EXPIRED = auto()


class RefreshVerdict(StrEnum):
    """Verdict on a refresh token of a live session; logs and audit events use these values."""

    CURRENT = "current"
    JUST_REPLACED = "just_replaced"
    REPLACED_EARLIER = "replaced_earlier"
    OLDER_GENERATION = "older_generation"
    GENERATION_AHEAD = "generation_ahead"

    @property
    def is_reuse(self) -> bool:
        """True if the session must end: the token is neither current nor just replaced.

        A generation ahead of the row's was never issued, unless the database was restored from an
        older copy. In both cases token and row disagree, so the session ends.
        """
        return self not in (RefreshVerdict.CURRENT, RefreshVerdict.JUST_REPLACED)


CLOCK_TOLERANCE = timedelta(seconds=30)
"""Greatest difference between two machines' clocks (chosen, as for tokens)."""


class SessionTimes(Protocol):
    """Columns of a session's row that decide its state."""

    @property
    def revoked_at(self) -> datetime | None:
        """Time of the revocation; None without one."""

    @property
    def expires_at(self) -> datetime:
        """Absolute limit; it never changes."""

    @property
    def idle_expires_at(self) -> datetime:
        """Idle limit; every rotation extends it."""


def check_session(session: SessionTimes, now: datetime) -> SessionState:
    """Return the state of a session; a revoked session stays revoked after its limits.

    At a limit (`now == expires_at`) the session is expired.
    """
    if session.revoked_at is not None:
        return SessionState.REVOKED
    if now >= session.expires_at or now >= session.idle_expires_at:
        return SessionState.EXPIRED
    return SessionState.LIVE


def is_within_grace(rotated_at: datetime | None, *, now: datetime, grace: timedelta) -> bool:
    """Return True during the grace after a rotation, when the session does not rotate again.

    A rotation further in the future than `CLOCK_TOLERANCE` is not within the grace, so a clock
    that was set back does not extend it.

    Args:
        rotated_at: when the current generation began; None before the first refresh.
        now: from the same clock as `rotated_at`, which another machine may have written.
        grace: length of the grace; its end is included.
    """
    return rotated_at is not None and -CLOCK_TOLERANCE <= now - rotated_at <= grace


def check_refresh(
    *,
    presented: int,
    current: int,
    rotated_at: datetime | None,
    now: datetime,
    grace: timedelta,
) -> RefreshVerdict:
    """Return the verdict on a refresh token, from its generation.

    Args:
        presented: the generation in the token.
        current: the generation of the session's row.
        rotated_at, now: see `is_within_grace`.
        grace: how long the previous generation is still accepted (RFC 9700 §4.14 leaves room for
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
"""Time for which a device stays known to an account after its last sign-in (design)."""

DEVICE_RESOLUTION = timedelta(days=1)
"""Resolution of a device's last sign-in, so a device's row is written once a day at most
(chosen)."""

_NETWORK_PREFIXES = {4: 24, 6: 48}
"""Prefix lengths, by IP version, of the network within which a device's address may change: a
provider's pool or a site (RFC 6177 §2)."""

_BROWSERS = (
    ("Edge", re.compile(r"\bEdgA?(?:iOS)?/")),
    ("Opera", re.compile(r"\bOPR/|\bOPT/")),
    ("Samsung Internet", re.compile(r"\bSamsungBrowser/")),
    ("Firefox", re.compile(r"\bFirefox/|\bFxiOS/")),
    ("Chrome", re.compile(r"\bChrome/|\bCriOS/|\bChromium/")),
    ("Safari", re.compile(r"\bVersion/[0-9.]+ (?:Mobile/\w+ )?Safari/")),
)
"""Patterns by name. The order matters: a browser's User-Agent can match later patterns too."""

_PRODUCT = re.compile(r"[A-Za-z0-9._-]{1,32}")


def find_browser(user_agent: str | None) -> str | None:
    """Return the name of a well-known browser, for display; None for any other client."""
    names = (name for name, pattern in _BROWSERS if pattern.search(user_agent or ""))
    return next(names, None)


def find_browser_family(user_agent: str | None) -> str:
    """Return the part of a User-Agent that versions share: a browser, else its first product.

    A program that changes its product name with each version is a new device each time.
    """
    product = _PRODUCT.match(user_agent or "")
    return find_browser(user_agent) or (product[0].lower() if product else "")


def find_device_network(ip: str | None) -> str:
    """Return the /24 (IPv4) or /48 (IPv6) network of a client address; empty without an address."""
    if ip is None:
        return ""
    prefix = _NETWORK_PREFIXES[ip_address(ip).version]
    return str(ip_network((ip, prefix), strict=False))
