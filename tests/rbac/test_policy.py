"""The roles of a user at a level."""

from typing import NamedTuple

import pytest

from authserve.core.levels import Level
from authserve.rbac.policy import RolesAtLevel, roles_at_level


class Held(NamedTuple):
    """A row of a role that a user holds."""

    role_name: str | None
    permissions: str = ""
    requires_mfa: bool = False


ROLES = (
    Held("user"),
    Held("clerk", "invoices:read invoices:write"),
    Held("admin", "users:read users:write", requires_mfa=True),
)


@pytest.mark.parametrize("level", [Level.AAL2, Level.PHR])
def test_all_roles_have_effect_after_a_second_factor(level: Level) -> None:
    assert roles_at_level(ROLES, level=level) == RolesAtLevel(
        effective=("admin", "clerk", "user"),
        permissions=frozenset({"invoices:read", "invoices:write", "users:read", "users:write"}),
        sleeping=frozenset(),
        sleeping_permissions=frozenset(),
    )


def test_a_role_that_requires_a_second_factor_sleeps_without_one() -> None:
    assert roles_at_level(ROLES, level=Level.AAL1) == RolesAtLevel(
        effective=("clerk", "user"),
        permissions=frozenset({"invoices:read", "invoices:write"}),
        sleeping=frozenset({"admin"}),
        sleeping_permissions=frozenset({"users:read", "users:write"}),
    )


def test_the_row_of_a_user_without_roles_is_no_role() -> None:
    nothing = RolesAtLevel(
        effective=(),
        permissions=frozenset(),
        sleeping=frozenset(),
        sleeping_permissions=frozenset(),
    )
    assert roles_at_level([Held(None)], level=Level.PHR) == nothing
