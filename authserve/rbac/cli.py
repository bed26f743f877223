"""`flask roles`: roles and their permissions from the command line."""

from collections.abc import Iterator

import click

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.cli import Group
from authserve.core.cli_output import print_document, print_result, print_rows
from authserve.http.openapi import load_input
from authserve.rbac.models import Role
from authserve.rbac.roles import (
    create_role,
    delete_role,
    get_role,
    page_of_roles,
    set_requires_mfa,
)
from authserve.rbac.schemas import NewRoleSchema, role_document

PAGE_SIZE = 200
"""Roles read per query (chosen)."""

roles_group = Group(
    "roles", help="Roles: list, show, create, change, delete; see `flask users grant`."
)


def request_of(command: str) -> RequestInfo:
    """Return the origin of a command, for audit events."""
    return RequestInfo(user_agent=f"flask roles {command}")


@roles_group.command("list")
def list_() -> None:
    """List roles by name, with their permissions.

    \b
    Example:
      flask roles list
    """
    print_rows(
        map(role_document, _all_roles()),
        columns={
            "NAME": "name",
            "MFA": "requires_mfa",
            "PERMISSIONS": "permissions",
            "DESCRIPTION": "description",
        },
        empty="There is no role.",
    )


def _all_roles() -> Iterator[Role]:
    after: str | None = None
    while roles := page_of_roles(limit=PAGE_SIZE, after=after):
        yield from roles
        after = roles[-1].name


@roles_group.command()
@click.argument("name")
def show(name: str) -> None:
    """Show a role as JSON.

    \b
    Example:
      flask roles show admin
    """
    print_document(role_document(get_role(name)))


@roles_group.command()
@click.argument("name")
@click.option("--description", default="", help="What the role is for.")
@click.option("--permission", "permissions", multiple=True, help="For example users:read.")
@click.option("--requires-mfa", is_flag=True, help="No effect in sessions of one factor.")
def create(name: str, description: str, permissions: tuple[str, ...], requires_mfa: bool) -> None:
    """Create a role.

    \b
    Example:
      flask roles create support --permission users:read --description "Reads accounts."
    """
    given = {
        "name": name,
        "description": description,
        "permissions": list(permissions),
        "requires_mfa": requires_mfa,
    }
    checked = load_input(NewRoleSchema(), given)
    role = create_role(
        checked["name"],
        description=checked["description"],
        permissions=checked["permissions"],
        requires_mfa=checked["requires_mfa"],
        actor=OPERATOR,
        request=request_of("create"),
    )
    print_document(role_document(role))


@roles_group.command("requires-mfa")
@click.argument("name")
@click.argument("switch", metavar="on|off", type=click.Choice(["on", "off"]))
def requires_mfa(name: str, switch: str) -> None:
    """Let a role have no effect in sessions of one factor; also `admin` and `user`.

    Its users sign in as before, and get its permissions after a second factor.

    \b
    Examples:
      flask roles requires-mfa admin on
      flask roles requires-mfa admin off
    """
    role = set_requires_mfa(
        name, requires_mfa=switch == "on", actor=OPERATOR, request=request_of("requires-mfa")
    )
    print_document(role_document(role))


@roles_group.command()
@click.argument("name")
def delete(name: str) -> None:
    """Delete a role that no user holds; `admin` and `user` stay.

    \b
    Example:
      flask roles delete support
    """
    delete_role(name, actor=OPERATOR, request=request_of("delete"))
    print_result(f"The role {name} is deleted.", name=name, is_deleted=True)
