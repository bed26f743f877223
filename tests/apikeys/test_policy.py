"""The scopes of a key that have effect, decided without a database."""

from datetime import UTC, datetime, timedelta

import pytest

from authserve.apikeys.policy import (
    USE_INTERVAL,
    KeyRefusal,
    effective_scopes_of,
    find_refusal,
    is_scope,
    is_use_due,
    permissions_of,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("scopes", "permissions", "is_admin", "expected"),
    [
        ({"account"}, set(), False, {"account"}),
        (
            {"account", "users:read"},
            {"users:read", "users:write"},
            False,
            {"account", "users:read"},
        ),
        ({"users:read", "a:b"}, {"a:b"}, False, {"a:b"}),
        ({"users:read"}, set(), False, set()),
        ({"users:read"}, set(), True, {"users:read"}),
        ({"a:b"}, {"account"}, False, set()),
        # A scope of this name is never a permission, whatever a role holds.
        ({"users:read"}, {"account"}, False, set()),
    ],
)
def test_power_is_never_wider_than_the_scopes_nor_the_owner(
    scopes: set[str], permissions: set[str], is_admin: bool, expected: set[str]
) -> None:
    found = effective_scopes_of(scopes, permissions=permissions, holds_everything=is_admin)
    assert found == expected
    assert permissions_of(found) == expected - {"account"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("account", True),
        ("users:read", True),
        ("reports:read", True),
        # A namespace of the service, so it is a typing mistake.
        ("users:raed", False),
        ("openid", False),
        ("offline_access", False),
        ("users", False),
        ("", False),
        ("a b:c", False),
    ],
)
def test_scopes_are_account_and_permissions(name: str, expected: bool) -> None:
    assert is_scope(name) is expected


@pytest.mark.parametrize(
    ("left", "is_active", "expected"),
    [
        (timedelta(microseconds=1), True, None),
        (timedelta(0), True, KeyRefusal.EXPIRED),
        (timedelta(days=1), False, KeyRefusal.OWNER_INACTIVE),
    ],
)
def test_a_key_ends_with_its_time_and_rests_with_its_owner(
    left: timedelta, is_active: bool, expected: KeyRefusal | None
) -> None:
    assert find_refusal(expires_at=NOW + left, is_owner_active=is_active, now=NOW) is expected


def test_a_use_is_written_once_a_minute() -> None:
    assert is_use_due(None, NOW)
    assert is_use_due(NOW - USE_INTERVAL, NOW)
    assert not is_use_due(NOW - USE_INTERVAL + timedelta(microseconds=1), NOW)
