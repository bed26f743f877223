"""The API of roles."""

import pytest
from flask import Flask

from tests.support.clients import Caller, register_caller
from tests.support.crowd import all_at_once, persistently
from tests.support.factors import raise_caller
from tests.support.marks import both_databases
from tests.support.rows import audit_trail, change_session

ROLES = "/api/v1/roles"
SUPPORT = {
    "name": "support",
    "description": "Helps.",
    "permissions": ["users:read"],
    "requires_mfa": False,
}


def code(response) -> str:
    return response.get_json()["code"]


@both_databases
def test_it_makes_shows_changes_and_deletes_a_role(admin: Caller) -> None:
    made = admin.post(ROLES, json=SUPPORT)
    assert (made.status_code, made.get_json()) == (201, SUPPORT)
    assert admin.get(f"{ROLES}/support").get_json() == SUPPORT

    body = {"description": "", "permissions": ["shop:sell", "audit:read", "audit:read"]}
    changed = admin.put(f"{ROLES}/support", json=body)
    expected = {
        "name": "support",
        "description": "",
        "permissions": ["audit:read", "shop:sell"],
        "requires_mfa": False,
    }
    assert (changed.status_code, changed.get_json()) == (200, expected)

    assert admin.delete(f"{ROLES}/support").status_code == 204
    for gone in (admin.get, admin.delete):
        assert code(gone(f"{ROLES}/support")) == "role_not_found"
    assert code(admin.put(f"{ROLES}/support", json=body)) == "role_not_found"


@both_databases
def test_it_lists_roles_by_name_in_pages(admin: Caller) -> None:
    for name in ("b", "a", "c"):
        admin.post(ROLES, json={"name": name, "permissions": []})
    names, cursor = [], ""
    while cursor is not None:
        page = admin.get(f"{ROLES}?limit=2{cursor and f'&cursor={cursor}'}").get_json()
        names += [role["name"] for role in page["items"]]
        cursor = page["next_cursor"]
    assert names == ["a", "admin", "b", "c", "user"]


@pytest.mark.parametrize("cursor", ["%00", "AA", "====", "_w", "x" * 5000, "YQ%3D%3D"])
def test_it_refuses_a_forged_cursor(admin: Caller, cursor: str) -> None:
    response = admin.get(f"{ROLES}?cursor={cursor}")
    assert response.status_code in (400, 422), response.get_json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "Support"),
        ("name", "a b"),
        ("name", ""),
        ("name", "x" * 65),
        ("name", "support\n"),
        ("permissions", ["users:fly"]),
        ("permissions", ["users"]),
        ("permissions", ["shop:sell\n"]),
        ("permissions", ["Shop:sell"]),
        ("permissions", [["shop:sell"]]),
        ("permissions", "users:read"),
        ("permissions", ["shop:sell"] * 101),
        ("description", "x" * 201),
        ("requires_mfa", "true"),
        ("requires_mfa", 1),
        ("requires_mfa", None),
        ("is_built_in", True),
    ],
)
def test_it_refuses_what_is_no_role(admin: Caller, field: str, value: object) -> None:
    response = admin.post(ROLES, json={**SUPPORT, field: value})
    assert response.status_code == 422
    assert [name.partition(".")[0] for name in response.get_json()["errors"]] == [field]
    assert admin.get(f"{ROLES}/support").status_code == 404


def raise_to_aal2(app: Flask, caller: Caller) -> None:
    """Give the caller's session the level that changing `requires_mfa` needs."""
    raise_caller(app, caller)


@both_databases
def test_a_role_needs_a_second_factor_from_now_on_or_no_longer(app: Flask, admin: Caller) -> None:
    raise_to_aal2(app, admin)
    with_mfa = {**SUPPORT, "requires_mfa": True}
    assert admin.post(ROLES, json=with_mfa).get_json() == with_mfa
    for requires_mfa in (False, False, True):
        changed = admin.patch(f"{ROLES}/support", json={"requires_mfa": requires_mfa})
        assert (changed.status_code, changed.get_json()) == (
            200,
            {**SUPPORT, "requires_mfa": requires_mfa},
        )
        assert admin.get(f"{ROLES}/support").get_json()["requires_mfa"] is requires_mfa
    made, *events = audit_trail(app, "role.created", "role.changed")
    assert made["details"]["requires_mfa"] is True
    # The second change changed nothing.
    assert [event["details"] for event in events] == [
        {"role": "support", "requires_mfa": False},
        {"role": "support", "requires_mfa": True},
    ]


def test_a_replaced_role_needs_a_second_factor_as_before(app: Flask, admin: Caller) -> None:
    admin.post(ROLES, json={**SUPPORT, "requires_mfa": True})
    for body in ({"permissions": []}, {"permissions": ["users:read"], "description": "x"}):
        assert admin.put(f"{ROLES}/support", json=body).get_json()["requires_mfa"] is True
    refused = admin.put(f"{ROLES}/support", json={"permissions": [], "requires_mfa": False})
    assert (refused.status_code, list(refused.get_json()["errors"])) == (422, ["requires_mfa"])


def test_the_switch_needs_two_factors_and_a_fresh_token(app: Flask, admin: Caller) -> None:
    """No account of this test needs two factors, and yet the call asks for them."""
    path, body = f"{ROLES}/user", {"requires_mfa": True}
    refused = admin.patch(path, json=body)
    assert (refused.status_code, code(refused)) == (401, "step_up_required")
    assert "max_age" not in refused.headers["WWW-Authenticate"]
    refresh = {"refresh_token": admin.tokens["refresh_token"]}
    admin.tokens |= admin.client.post("/api/v1/auth/refresh", json=refresh).get_json()
    assert "max_age=300" in admin.patch(path, json=body).headers["WWW-Authenticate"]
    change_session(app, admin.session_id, aal=2)
    assert code(admin.patch(path, json=body)) == "reauthentication_required"


def test_only_the_holder_of_all_that_a_role_allows_switches_it(app: Flask, admin: Caller) -> None:
    admin.post(ROLES, json={"name": "writer", "permissions": ["roles:write", "users:read"]})
    admin.post(ROLES, json=SUPPORT)
    admin.post(ROLES, json={"name": "auditor", "permissions": ["audit:read"]})
    writer = register_caller(app, "writer", roles=("writer",))
    raise_to_aal2(app, writer)
    body = {"requires_mfa": True}
    for name in ("auditor", "admin"):
        refused = writer.patch(f"{ROLES}/{name}", json=body)
        assert (refused.status_code, code(refused)) == (403, "insufficient_permissions")
    for name in ("support", "user"):
        assert writer.patch(f"{ROLES}/{name}", json=body).status_code == 200
    raise_to_aal2(app, admin)
    assert admin.patch(f"{ROLES}/admin", json=body).get_json()["requires_mfa"] is True
    assert code(admin.patch(f"{ROLES}/nothing", json=body)) == "role_not_found"


def test_it_keeps_the_built_in_roles(admin: Caller) -> None:
    for name in ("admin", "user"):
        changed = admin.put(f"{ROLES}/{name}", json={"permissions": []})
        assert (changed.status_code, code(changed)) == (409, "role_built_in")
        assert code(admin.delete(f"{ROLES}/{name}")) == "role_built_in"


@both_databases
def test_it_keeps_a_role_in_use(app: Flask, admin: Caller) -> None:
    admin.post(ROLES, json=SUPPORT)
    register_caller(app, "helper", roles=("support",))
    refused = admin.delete(f"{ROLES}/support")
    assert (refused.status_code, code(refused)) == (409, "role_in_use")


def test_it_asks_for_permissions(app: Flask, admin: Caller, charlie: Caller) -> None:
    admin.post(ROLES, json={"name": "reader", "permissions": ["roles:read"]})
    reader = register_caller(app, "reader", roles=("reader",))
    assert app.test_client().get(ROLES).status_code == 401
    assert code(charlie.get(ROLES)) == "insufficient_permissions"
    assert reader.get(ROLES).status_code == 200
    assert code(reader.post(ROLES, json=SUPPORT)) == "insufficient_permissions"
    assert code(reader.delete(f"{ROLES}/reader")) == "insufficient_permissions"


def test_no_caller_gains_permissions_by_editing_a_role(app: Flask, admin: Caller) -> None:
    """Making, changing and deleting a role needs all that it allows, before and after."""
    writer = {"name": "writer", "permissions": ["roles:read", "roles:write"]}
    admin.post(ROLES, json=writer)
    admin.post(ROLES, json=SUPPORT)
    caller = register_caller(app, "writer", roles=("writer",))

    for response in (
        caller.post(ROLES, json={"name": "x", "permissions": ["users:write"]}),
        caller.put(f"{ROLES}/writer", json={"permissions": ["roles:read", "users:write"]}),
        caller.put(f"{ROLES}/support", json={"permissions": []}),
        caller.delete(f"{ROLES}/support"),
    ):
        assert (response.status_code, code(response)) == (403, "insufficient_permissions")
    assert caller.post(ROLES, json={"name": "x", "permissions": ["roles:read"]}).status_code == 201
    assert caller.delete(f"{ROLES}/x").status_code == 204


def test_a_changed_role_counts_at_once(app: Flask, admin: Caller) -> None:
    admin.post(ROLES, json={**SUPPORT, "permissions": []})
    helper = register_caller(app, "helper", roles=("support",))
    assert helper.get("/api/v1/users").status_code == 403
    admin.put(f"{ROLES}/support", json={"permissions": ["users:read"]})
    assert helper.get("/api/v1/users").status_code == 200


@both_databases
def test_one_of_twenty_makes_a_role(app: Flask, admin: Caller) -> None:
    def make() -> int:
        return persistently(lambda: admin.post(ROLES, json=SUPPORT)).status_code

    statuses = all_at_once([make] * 20)
    assert sorted(statuses) == [201] + [409] * 19
