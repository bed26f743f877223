"""The numbers: of the login throttle, with what a counter means by them, and of every limit."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

IPV6_PREFIX = 64
"""What one customer of a provider is given at least (RFC 6177 §2)."""

NAT64_PREFIX = IPv6Network("64:ff9b::/96")
"""IPv4 addresses as IPv6 networks write them (RFC 6052 §2.1): the last 32 bits are the address."""


def network_of(ip: str) -> str:
    """Return what counts as one client address: an IPv4 address itself, an IPv6 one's network.

    An IPv4 address that is written as IPv6, mapped or by NAT64, counts as itself: all of them
    would else share one network.

    Args:
        ip: in the spelling of `http.request_info`.
    """
    address = ip_address(ip)
    if isinstance(address, IPv4Address):
        return ip
    inner = _ipv4_inside(address)
    return str(inner or ip_network((address, IPV6_PREFIX), strict=False))


def _ipv4_inside(address: IPv6Address) -> IPv4Address | None:
    if address in NAT64_PREFIX:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


@dataclass(frozen=True, slots=True)
class ThrottleRule:
    """How many failures in what time begin a block.

    After the block every further failure begins a longer one; a window without any failure
    forgets it all.
    """

    limit: int
    window: timedelta


BY_IDENTIFIER = ThrottleRule(limit=5, window=timedelta(minutes=5))
BY_ADDRESS = ThrottleRule(limit=10, window=timedelta(minutes=1))
"""django-allauth's defaults: 5 failures in 5 minutes an account, 10 in one minute an address. An
address gets more, since a whole office can stand behind one."""

BLOCKS = tuple(timedelta(seconds=s) for s in (30, 60, 120, 240, 480, 900))
"""From 30 s, doubling to 15 minutes (chosen; NIST SP 800-63B-4 §3.2.2 wants waits that grow)."""


def block_after(failures: int, rule: ThrottleRule) -> timedelta | None:
    """How long a failure blocks that is the `failures`-th, or None if it does not yet."""
    if failures < rule.limit:
        return None
    return BLOCKS[min(failures - rule.limit, len(BLOCKS) - 1)]


def expiry_after(failures: int, rule: ThrottleRule, now: datetime) -> datetime:
    """When a counter dies whose `failures`-th failure is now, and is not the first of its window.

    A counter that blocks lives one window longer than its block, so that the block's end follows
    from the counter's: one row and one write hold both.

    Raises:
        ValueError: it begins no block; then the window goes on as it began.
    """
    block = block_after(failures, rule)
    if block is None:
        raise ValueError("below the limit a failure moves nothing")
    return now + block + rule.window


def blocked_until(
    count: int, expires_at: datetime, rule: ThrottleRule, now: datetime
) -> datetime | None:
    """When the block ends that a counter stands for, or None if there is none now.

    See `expiry_after`; the end of a block is the first moment that is free again.
    """
    end = expires_at - rule.window
    return end if count >= rule.limit and end > now else None


class CountedBy(StrEnum):
    """What an ordinary limit counts by."""

    ADDRESS = "client address"
    EMAIL = "submitted email address"
    USER = "user"
    DEVICE_OR_ADDRESS = "known device or client address"

    @property
    def is_of_caller(self) -> bool:
        """Return True if its counters count nothing but the calls of one caller."""
        return self is not CountedBy.EMAIL


@dataclass(frozen=True, slots=True)
class Limit:
    """How often something may be asked for, before anything is hashed or sent.

    Args:
        name: of its counters; calls that share one share them.
        amount: calls in a window, which begins with the first of them.
    """

    name: str
    amount: int
    window: timedelta
    by: CountedBy


_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)

SIGN_UP = Limit("sign_up", 20, _MINUTE, CountedBy.ADDRESS)
"""django-allauth's default."""

SIGN_UP_OF_EMAIL = Limit("sign_up_of_email", 10, _HOUR, CountedBy.EMAIL)
"""Chosen: room for a few refused passwords, and an end to mails that a stranger causes."""

SIGN_IN = Limit("sign_in", 30, _MINUTE, CountedBy.DEVICE_OR_ADDRESS)
"""django-allauth's default. The login throttle counts failures besides. A device that the account's
owner has signed in with counts by itself: others at its address cannot keep the owner out."""

PASSWORDS = Limit("passwords", 120, _MINUTE, CountedBy.ADDRESS)
"""Passwords that one address may have checked, by known devices and signed-in users too (chosen:
an office signs in within minutes, and 120 hashes take one core some seconds). Each sign-in makes a
device, so limits by device alone bound nothing."""

FORGOT = Limit("forgot_password", 20, _MINUTE, CountedBy.ADDRESS)
"""django-allauth's default."""

FORGOT_OF_EMAIL = Limit("forgot_password_of_email", 5, _HOUR, CountedBy.EMAIL)
"""django-allauth has 5 a minute; each is a mail to somebody, so it is 5 an hour here."""

RESEND = Limit("resend_verification", 20, _MINUTE, CountedBy.ADDRESS)
"""As `FORGOT`."""

RESEND_OF_EMAIL = Limit("resend_verification_of_email", 1, 3 * _MINUTE, CountedBy.EMAIL)
"""django-allauth's default."""

REDEEM = Limit("redeem_token", 20, _MINUTE, CountedBy.ADDRESS)
"""django-allauth's default for using a reset link; one-time tokens of all kinds share it."""

REAUTHENTICATE = Limit("reauthenticate", 10, _MINUTE, CountedBy.USER)
"""django-allauth's default."""

CHANGE_PASSWORD = Limit("change_password", 5, _MINUTE, CountedBy.USER)
"""django-allauth's default."""

CHANGE_EMAIL = Limit("change_email", 5, _HOUR, CountedBy.USER)
"""As `FORGOT_OF_EMAIL`: each is a mail to an address of the caller's choice."""

CHANGE_PROFILE = Limit("change_profile", 30, _MINUTE, CountedBy.USER)
"""Chosen: whether a username is taken can be asked this often."""

EXPORT = Limit("export_own_data", 10, _HOUR, CountedBy.USER)
"""Chosen: each reads all that is held on the caller."""

ADMIN_MAIL = Limit("admin_mail", 60, _MINUTE, CountedBy.USER)
"""Chosen: an administrator's calls that send mail to other people."""

LIMITS = (
    SIGN_UP,
    SIGN_UP_OF_EMAIL,
    SIGN_IN,
    PASSWORDS,
    FORGOT,
    FORGOT_OF_EMAIL,
    RESEND,
    RESEND_OF_EMAIL,
    REDEEM,
    REAUTHENTICATE,
    CHANGE_PASSWORD,
    CHANGE_EMAIL,
    CHANGE_PROFILE,
    EXPORT,
    ADMIN_MAIL,
)
"""In the order of `docs/limits.md`."""
