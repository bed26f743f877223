"""Keys of the login throttle's counters.

Each key is a keyed digest, so the table reveals neither who tried to sign in nor which identifiers
belong together. Known and unknown identifiers are counted alike.
"""

from collections.abc import Sequence
from datetime import timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import bindparam

from authserve.core.crypto import KEYRING
from authserve.core.frozen import frozen
from authserve.ratelimit.models import TABLE, THROTTLE_PREFIX
from authserve.ratelimit.policy import (
    BY_ADDRESS,
    BY_IDENTIFIER,
    BY_SECOND_FACTOR,
    ThrottleRule,
    network_of,
)

PURPOSE = "throttle"


class Counted(StrEnum):
    """Kinds of counters of failures."""

    IDENTIFIER = "identifier"
    ACCOUNT = "account"
    DEVICE = "device"
    KNOWN_NETWORK = "known_network"
    ADDRESS = "address"
    SECOND_FACTOR = "second_factor"
    SECOND_FACTOR_OF_DEVICE = "second_factor_of_device"
    SECOND_FACTOR_OF_SESSIONS = "second_factor_of_sessions"


_RULES = {
    Counted.ADDRESS: BY_ADDRESS,
    Counted.SECOND_FACTOR: BY_SECOND_FACTOR,
    Counted.SECOND_FACTOR_OF_DEVICE: BY_SECOND_FACTOR,
    Counted.SECOND_FACTOR_OF_SESSIONS: BY_SECOND_FACTOR,
}
"""The rules of the kinds that `BY_IDENTIFIER` is not for."""


@frozen()
class ThrottleKey:
    """Key of one counter of failures."""

    key: str
    counted: Counted

    @property
    def rule(self) -> ThrottleRule:
        """The rule that the counter follows."""
        return _RULES.get(self.counted, BY_IDENTIFIER)

    @property
    def is_cleared_by_success(self) -> bool:
        """True for a counter that only the account's owner uses.

        A counter that strangers share only expires. Clearing it would reveal that the owner signed
        in, and would let an address with one account of its own guess passwords of all others.
        """
        return self.counted in (Counted.ACCOUNT, Counted.DEVICE)

    @property
    def is_of_stranger(self) -> bool:
        """True if it counts second factors of callers who know the password, from any device."""
        return self.counted is Counted.SECOND_FACTOR


def identifier_key(identifier: str) -> ThrottleKey:
    """Return the key of a submitted address or username, in canonical form if it has one."""
    return _key_of(Counted.IDENTIFIER, identifier)


def account_key(user_id: UUID) -> ThrottleKey:
    """Return the key of an account, for callers whose token identifies it."""
    return _key_of(Counted.ACCOUNT, str(user_id))


def device_key(device_id: str) -> ThrottleKey:
    """Return the key of a device that the account's owner has signed in with.

    Sign-in failures of such a device are counted by this key alone.
    """
    return _key_of(Counted.DEVICE, device_id)


def second_factor_key(
    user_id: UUID, *, device_id: str | None = None, is_signed_in: bool = False
) -> ThrottleKey:
    """Return the key that a second proof is counted by.

    Args:
        user_id: the account.
        device_id: of a device that the account knows, which others cannot block.
        is_signed_in: True for callers with an access token of the account.
    """
    if is_signed_in:
        return _second_factor_key(Counted.SECOND_FACTOR_OF_SESSIONS, str(user_id))
    if device_id is not None:
        return _second_factor_key(Counted.SECOND_FACTOR_OF_DEVICE, device_id)
    return _second_factor_key(Counted.SECOND_FACTOR, str(user_id))


def _second_factor_key(counted: Counted, value: str) -> ThrottleKey:
    # A row does not say which window it has. The key does, since the release before this rule,
    # which may run beside it, would take the end of a long window for that of a block.
    return _key_of(counted, f"{value}:{BY_SECOND_FACTOR.window.days}")


def address_key(ip: str | None) -> list[ThrottleKey]:
    """Return the key of a client address (of its network for IPv6), or no key without one."""
    return [] if ip is None else [_key_of(Counted.ADDRESS, network_of(ip))]


def _key_of(counted: Counted, value: str) -> ThrottleKey:
    (name,) = _digests((counted, value))
    return ThrottleKey(name, counted)


def sign_in_keys(
    identifier: str, *, user_id: UUID | None, password_version: int, ip: str
) -> tuple[list[ThrottleKey], ThrottleKey, str]:
    """Return the keys that a sign-in from a client address may be counted by.

    Args:
        identifier, user_id, password_version, ip: see `throttle.choose_sign_in_keys`.

    Returns:
        The keys of identifier and address, the key of the account in a known network, and the key
        of the row that makes the network known, as `network_mark` returns it.
    """
    network = network_of(ip)
    account = _account_in_network(user_id, password_version, network)
    by_identifier, by_address, own, mark = _digests(
        (Counted.IDENTIFIER, identifier),
        (Counted.ADDRESS, network),
        (Counted.KNOWN_NETWORK, account),
        (_MARK, account),
    )
    shared = [
        ThrottleKey(by_identifier, Counted.IDENTIFIER),
        ThrottleKey(by_address, Counted.ADDRESS),
    ]
    return shared, ThrottleKey(own, Counted.KNOWN_NETWORK), mark


KNOWN_NETWORK_TTL = timedelta(hours=1)
"""Time for which the network that set a password by a mailed link stays known (chosen)."""

_MARK = "mark"


def network_mark(user_id: UUID, password_version: int, ip: str) -> str:
    """Return the key of the row that makes a network known to an account until the row expires."""
    account = _account_in_network(user_id, password_version, network_of(ip))
    (mark,) = _digests((_MARK, account))
    return mark


def _account_in_network(user_id: UUID | None, password_version: int, network: str) -> str:
    """Return the text that a known network is counted by; a new password makes it unknown."""
    return f"{user_id}:{password_version}:{network}"


def _digests(*counted: tuple[str, str]) -> list[str]:
    messages = [f"{kind}:{value}".encode() for kind, value in counted]
    macs = KEYRING.get().macs(PURPOSE, messages)
    return [f"{THROTTLE_PREFIX}{mac.hex()}" for mac in macs]


MAX_NAMES = 4
"""Most counters that one statement reads: those of a sign-in from a client address."""

_PARAMETERS = [f"name_{number}" for number in range(MAX_NAMES)]

IS_NAMED = TABLE.c.key.in_([bindparam(parameter) for parameter in _PARAMETERS])
"""True of the counters that `name_parameters` names. Statements that are compiled once cannot take
a list."""


def name_parameters(names: Sequence[str]) -> dict[str, str]:
    """Return the parameters of `IS_NAMED`.

    Raises:
        ValueError: more than `MAX_NAMES`.
    """
    # No counter has an empty name.
    padded = [*names, *[""] * (MAX_NAMES - len(names))]
    return dict(zip(_PARAMETERS, padded, strict=True))
