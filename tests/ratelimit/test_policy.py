"""The login throttle's numbers."""

from datetime import UTC, datetime, timedelta

import pytest

from authserve.ratelimit.policy import (
    BY_ADDRESS,
    BY_IDENTIFIER,
    ThrottleRule,
    block_after,
    blocked_until,
    expiry_after,
    network_of,
)

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
INSTANT = timedelta(microseconds=1)

RULES = pytest.mark.parametrize("rule", [BY_IDENTIFIER, BY_ADDRESS], ids=["identifier", "address"])


def test_the_numbers_are_those_of_the_documentation() -> None:
    assert ThrottleRule(limit=5, window=timedelta(minutes=5)) == BY_IDENTIFIER
    assert ThrottleRule(limit=10, window=timedelta(minutes=1)) == BY_ADDRESS


@RULES
def test_blocks_double_from_thirty_seconds_to_fifteen_minutes(rule: ThrottleRule) -> None:
    assert [block_after(n, rule) for n in range(rule.limit)] == [None] * rule.limit
    blocks = [block_after(rule.limit + n, rule) for n in range(8)]
    secs = [block.total_seconds() for block in blocks if block is not None]
    assert secs == [30, 60, 120, 240, 480, 900, 900, 900]
    assert block_after(10**6, rule) == timedelta(minutes=15)


@RULES
def test_a_counter_below_the_limit_never_blocks(rule: ThrottleRule) -> None:
    for expires_at in (NOW + rule.window, NOW + timedelta(days=1)):
        assert blocked_until(rule.limit - 1, expires_at, rule, NOW) is None


@RULES
def test_a_block_ends_with_the_first_moment_that_is_free(rule: ThrottleRule) -> None:
    for failures in range(rule.limit, rule.limit + 8):
        block = block_after(failures, rule)
        assert block is not None
        expires_at = expiry_after(failures, rule, NOW)
        end = NOW + block
        for moment in (NOW, NOW + INSTANT, end - INSTANT):
            assert blocked_until(failures, expires_at, rule, moment) == end
        for moment in (end, end + INSTANT, expires_at):
            assert blocked_until(failures, expires_at, rule, moment) is None


@RULES
def test_only_a_failure_that_blocks_moves_the_end_of_a_counter(rule: ThrottleRule) -> None:
    with pytest.raises(ValueError, match="below the limit"):
        expiry_after(rule.limit - 1, rule, NOW)


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        # NAT64 (RFC 6052) and IPv4-mapped: the IPv4 address inside.
        ("64:ff9b::c000:201", "192.0.2.1"),
        ("64:ff9b::192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("64:ff9b::1:c000:201", "64:ff9b::/64"),
        ("64:ff9b:1::c000:201", "64:ff9b:1::/64"),
    ],
)
def test_an_address_counts_by_its_network(ip: str, network: str) -> None:
    assert network_of(ip) == network
