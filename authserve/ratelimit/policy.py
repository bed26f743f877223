"""Numbers of the login throttle and of every limit, and the meaning of a throttle counter."""

from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

from authserve.core.frozen import frozen

IPV6_PREFIX = 64
"""Prefix length, in bits, of the smallest network that a provider's customer gets (RFC 6177 §2)."""

NAT64_PREFIX = IPv6Network("64:ff9b::/96")
"""IPv4 addresses written as IPv6 (RFC 6052 §2.1): the last 32 bits are the address."""


def network_of(ip: str) -> str:
    """Return the unit that limits count as one client: an IPv4 address, or an IPv6 /64 network.

    An IPv4 address written as IPv6 (mapped or NAT64) counts as the IPv4 address; otherwise all
    of them would share one network.

    Args:
        ip: in the spelling of `http.request_info`.
    """
    address = ip_address(ip)
    if isinstance(address, IPv4Address):
        return ip
    inner = _ipv4_inside(address)
    return str(inner or ip_network((address, IPV6_PREFIX), strict=False))


def find_network(ip: str | None) -> str | None:
    """Return `network_of` an address, or None for a caller without one."""
    return None if ip is None else network_of(ip)


def _ipv4_inside(address: IPv6Address) -> IPv4Address | None:
    if address in NAT64_PREFIX:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped


@frozen()
class ThrottleRule:
    """Number of failures within a window that begins a block.

    After the block each further failure begins a longer one. A window without a failure resets
    the counter.
    """

    limit: int
    window: timedelta


BY_IDENTIFIER = ThrottleRule(limit=5, window=timedelta(minutes=5))
BY_ADDRESS = ThrottleRule(limit=10, window=timedelta(minutes=1))
"""django-allauth's defaults: 5 failures in 5 minutes per account, 10 in 1 minute per address. An
address gets more because a whole office can share one."""

BY_SECOND_FACTOR = ThrottleRule(limit=5, window=timedelta(days=30))
"""Chosen: a code has six digits, of which three are right at a time. Four guesses in each five
minutes would be a thousand a day, which block nothing and so cause no mail. A completed second step
clears the counter, so an owner's slips do not add up."""

BLOCKS = tuple(timedelta(seconds=s) for s in (30, 60, 120, 240, 480, 900))
"""Lengths of successive blocks: 30 s, doubled up to 15 minutes (chosen; NIST SP 800-63B-4 §3.2.2
suggests waits that grow)."""


def block_after(failures: int, rule: ThrottleRule) -> timedelta | None:
    """Return how long the `failures`-th failure blocks, or None below the limit."""
    if failures < rule.limit:
        return None
    return BLOCKS[min(failures - rule.limit, len(BLOCKS) - 1)]


def expiry_after(failures: int, rule: ThrottleRule, now: datetime) -> datetime:
    """Return when a counter expires whose `failures`-th failure, now, begins a block.

    The counter lives one window longer than its block, so one column holds both ends:
    `blocked_until` computes the block's end from the counter's.

    Raises:
        ValueError: the failure begins no block; then the counter's expiry does not change.
    """
    block = block_after(failures, rule)
    if block is None:
        raise ValueError("a failure below the limit begins no block")
    return now + block + rule.window


def blocked_until(
    count: int, expires_at: datetime, rule: ThrottleRule, now: datetime
) -> datetime | None:
    """Return when a counter's block ends, or None if it does not block now; see `expiry_after`.

    At that time an attempt is allowed again.
    """
    end = expires_at - rule.window
    return end if count >= rule.limit and end > now else None


class CountedBy(StrEnum):
    """Properties of a call that an ordinary limit counts by."""

    ADDRESS = "client address"
    EMAIL = "submitted email address"
    CLIENT_AND_ADDRESS = "OAuth client and client address"
    USER = "user"
    DEVICE_OR_ADDRESS = "known device or client address"
    DEVICE_OR_EMAIL = "known device or submitted email address"

    @property
    def is_of_caller(self) -> bool:
        """True if each counter counts the calls of one caller only."""
        return self not in (CountedBy.EMAIL, CountedBy.DEVICE_OR_EMAIL)


@frozen()
class Limit:
    """Number of calls allowed in a window, checked before anything is hashed or sent.

    Args:
        name: scope of its counters; routes that declare the same limit share them.
        amount: calls in a window.
        window: length of a window, which begins with its first call.
        by: the property of a call that has a counter of its own.
    """

    name: str
    amount: int
    window: timedelta
    by: CountedBy


_MINUTE, _HOUR = timedelta(minutes=1), timedelta(hours=1)

SIGN_UP = Limit("sign_up", 20, _MINUTE, CountedBy.ADDRESS)
"""django-allauth's default."""

SIGN_UP_OF_EMAIL = Limit("sign_up_of_email", 10, _HOUR, CountedBy.EMAIL)
"""Chosen: allows a few refused passwords, and bounds the mails that a stranger can cause."""

SIGN_IN = Limit("sign_in", 30, _MINUTE, CountedBy.DEVICE_OR_ADDRESS)
"""django-allauth's default; the login throttle counts failures in addition. A device that the
account's owner has signed in with has its own counter, so other clients at its address cannot lock
the owner out."""

PASSWORDS = Limit("passwords", 120, _MINUTE, CountedBy.ADDRESS)
"""Passwords that one address may have checked, those of known devices and signed-in users included
(chosen: a whole office can sign in within minutes, and 120 hashes take one core some seconds). Each
sign-in can create a device, so limits by device alone bound nothing."""

FORGOT = Limit("forgot_password", 20, _MINUTE, CountedBy.ADDRESS)
"""django-allauth's default."""

FORGOT_OF_EMAIL = Limit("forgot_password_of_email", 5, _HOUR, CountedBy.EMAIL)
"""django-allauth allows 5 a minute; here it is 5 an hour, because each call can send a mail."""

RESEND = Limit("resend_verification", 20, _MINUTE, CountedBy.ADDRESS)
"""The same numbers as `FORGOT`."""

RESEND_OF_EMAIL = Limit("resend_verification_of_email", 1, 3 * _MINUTE, CountedBy.EMAIL)
"""django-allauth's default."""

REDEEM = Limit("redeem_token", 20, _MINUTE, CountedBy.ADDRESS)
"""django-allauth's default for using a reset link; one-time tokens of all kinds share it."""

REAUTHENTICATE = Limit("reauthenticate", 10, _MINUTE, CountedBy.USER)
"""django-allauth's default."""

CHANGE_PASSWORD = Limit("change_password", 5, _MINUTE, CountedBy.USER)
"""django-allauth's default."""

CHANGE_EMAIL = Limit("change_email", 5, _HOUR, CountedBy.USER)
"""The numbers of `FORGOT_OF_EMAIL`: each call sends a mail to an address of the caller's choice."""

CHANGE_EMAIL_OF_EMAIL = Limit("change_email_of_email", 10, _HOUR, CountedBy.EMAIL)
"""The numbers of `SIGN_UP_OF_EMAIL`: else a stranger with many accounts could send one address any
number of mails."""

CHANGE_PROFILE = Limit("change_profile", 30, _MINUTE, CountedBy.USER)
"""Chosen: bounds how often a caller can test whether a username is taken."""

SET_UP_FACTOR = Limit("set_up_factor", 10, _HOUR, CountedBy.USER)
"""Chosen: each call can send a mail, and makes a secret or a challenge."""

EXPORT = Limit("export_own_data", 10, _HOUR, CountedBy.USER)
"""Chosen: each call reads all data that is stored about the caller."""

ADMIN_MAIL = Limit("admin_mail", 60, _MINUTE, CountedBy.USER)
"""Chosen: limits an administrator's calls that send mail to other people."""

SECOND_STEP = Limit("second_step", 20, _MINUTE, CountedBy.DEVICE_OR_ADDRESS)
"""Chosen: five attempts of each of four sign-ins; the throttle of second factors counts failures in
addition."""

PASSKEY_OPTIONS = Limit("passkey_options", 60, _MINUTE, CountedBy.ADDRESS)
"""Chosen: each sign-in page asks for options when it opens, to offer passkeys by autofill."""

EMAIL_CODE = Limit("email_code", 20, _MINUTE, CountedBy.ADDRESS)
"""The numbers of `FORGOT`."""

EMAIL_CODE_MAILS_A_MINUTE = Limit("email_code_mails", 1, _MINUTE, CountedBy.DEVICE_OR_EMAIL)
EMAIL_CODE_MAILS_AN_HOUR = Limit("email_code_mails", 5, _HOUR, CountedBy.DEVICE_OR_EMAIL)
"""Chosen: bound the mails that a stranger can cause. A device of the account's owner has counters
of its own, so strangers cannot use its mails up. Calls beyond them are answered alike, without a
mail; so they are not among `LIMITS`, which refuse."""

MAILS_TO_UNVERIFIED = Limit("mails_to_unverified", 20, 24 * _HOUR, CountedBy.EMAIL)
"""Notices and codes for second factors to an address that its account has not verified (chosen). A
stranger may have opened the account with another person's address, and could send that person a
mail by each of their changes. It counts by address, since a stranger can delete the account and
open another one. The worker counts, so it is not among `LIMITS`, and `RATELIMIT_ENABLED` does not
turn it off."""

MAKE_API_KEY = Limit("make_api_key", 10, _HOUR, CountedBy.USER)
"""Chosen: each call sends a mail. The call exists only with the feature `api-keys`."""

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
    CHANGE_EMAIL_OF_EMAIL,
    CHANGE_PROFILE,
    SET_UP_FACTOR,
    EXPORT,
    ADMIN_MAIL,
    SECOND_STEP,
    PASSKEY_OPTIONS,
    EMAIL_CODE,
    MAKE_API_KEY,
)
"""All limits, in the order of `docs/limits.md`."""

UNKNOWN_API_KEYS = Limit("unknown_api_keys", 30, _MINUTE, CountedBy.ADDRESS)
"""Well-formed API keys that no user has (chosen). No key of 256 bits is guessed; it bounds the
queries of a program whose key was revoked. Calls with a good key are never counted. Like those
below, it is not among `LIMITS`."""

PAGE_POSTS = Limit("page_posts", 120, _MINUTE, CountedBy.ADDRESS)
"""Forms that one address may send, whatever they do (chosen). Each form is also counted by the
limits of the API's call that does the same; this one is not among `LIMITS`, which are the API's."""

AUTHORIZE = Limit("authorize", 60, _MINUTE, CountedBy.ADDRESS)
"""Chosen: a person comes back several times in one sign-in; an office shares an address."""

LOGOUT = Limit("logout", 30, _MINUTE, CountedBy.ADDRESS)
"""Chosen: a person signs out of a few apps in a row; an office shares an address."""

PROVIDER_STARTS = Limit("provider_starts", 20, _MINUTE, CountedBy.ADDRESS)
"""Sign-ins that begin at a provider (design)."""

PROVIDER_ANSWERS = Limit("provider_answers", 60, _MINUTE, CountedBy.ADDRESS)
"""Answers of providers that browsers bring, each of which can cause calls to one (chosen: three
times the starts, since a code must not be lost to a limit)."""

PUBLIC_TOKENS = Limit("public_tokens", 120, _MINUTE, CountedBy.ADDRESS)
"""Calls of clients without a secret, which any caller can send (chosen). Calls of an authenticated
client have no limit; only its refusals are counted."""

CLIENT_FAILURES = Limit("client_failures", 30, _MINUTE, CountedBy.ADDRESS)
"""Failed authentications of clients (chosen). No secret of 256 bits is guessed; it bounds load."""

FAILURES_OF_CLIENT = Limit("failures_of_client", 10, _MINUTE, CountedBy.CLIENT_AND_ADDRESS)
"""The same for one client (chosen): an app with a wrong secret leaves other apps at its address
their own failures."""

REFUSED_COOKIES = Limit("refused_cookies", 300, _MINUTE, CountedBy.ADDRESS)
"""Cookies that forward-auth refuses (chosen: a page whose session has ended repeats its calls).
Like `REFUSED_TOKENS`, it counts failures alone, and is not among `LIMITS`."""

REFUSED_TOKENS = Limit("refused_tokens", 300, _MINUTE, CountedBy.ADDRESS)
"""Tokens that userinfo refuses (chosen: an app's server asks for many users). Like those
above from `AUTHORIZE` on, it is not among `LIMITS`, whose calls exist with every setting."""
