"""`flask users`: accounts and their roles from the command line.

The group's other commands are in `cli_new_accounts.py`, `cli_sign_in.py` and `transfer/cli.py`.
"""

from collections.abc import Callable
from typing import Any

import click

from authserve.admin.administration import (
    UserWithRoles,
    list_users,
    remove_user,
    with_roles,
)
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.cli import YES_OPTION, Group, act_on_each, confirm, expand_stdin
from authserve.core.cli_output import print_document, print_result, print_rows
from authserve.http.schemas import user_document
from authserve.rbac.assignment import grant_role, revoke_role
from authserve.users.accounts import User, activate, deactivate, ref_of
from authserve.users.lookup import get_users_by_reference

users_group = Group("users", help="Accounts: create, list, activate, deactivate, roles, import.")

USERS_ARGUMENT = click.argument("users", metavar="USER...", nargs=-1, required=True)


def request_of(command: str) -> RequestInfo:
    """Return the request that audit events of a command carry."""
    return RequestInfo(user_agent=f"flask users {command}")


def find_users(references: tuple[str, ...]) -> list[User]:
    """Return the accounts that `USERS_ARGUMENT` names; `-` reads them from standard input.

    Raises:
        UserNotFoundError: a reference matches no account.
    """
    return get_users_by_reference(expand_stdin(references))


def on_each(users: list[User], act: Callable[[User], None]) -> None:
    """Call `act` for each account; see `act_on_each`."""
    act_on_each(users, act, name=lambda user: user.email)


def document_of(found: UserWithRoles) -> dict[str, Any]:
    """Return an account as the API shows it."""
    return user_document(found.user, found.roles)


def print_change(text: str, user: User, **change: Any) -> None:
    """Write a change of an account: `text` for people, `change` with `--json`."""
    print_result(text, id=str(user.id), email=user.email, **change)


@users_group.command("list")
@click.option("--role", help="Only holders of this role.")
@click.option("--active/--inactive", default=None, help="Only accounts in this state.")
def list_(role: str | None, active: bool | None) -> None:
    """List accounts, oldest first.

    \b
    Examples:
      flask users list --role admin
      flask users list --inactive --json
    """
    print_rows(
        map(document_of, list_users(role=role, is_active=active)),
        columns={
            "ID": "id",
            "EMAIL": "email",
            "USERNAME": "username",
            "ACTIVE": "is_active",
            "ROLES": "roles",
        },
        empty="There is no such account.",
    )


@users_group.command()
@USERS_ARGUMENT
def show(users: tuple[str, ...]) -> None:
    """Show the accounts with these ids, addresses or usernames, as JSON.

    Several accounts are shown one per line; `-` reads them from standard input.

    \b
    Examples:
      flask users show alice
      flask users show alice bob@example.com
    """
    found = find_users(users)
    for user in found:
        print_document(document_of(with_roles(user)), is_one_of_many=len(found) > 1)


@users_group.command("activate")
@USERS_ARGUMENT
def activate_(users: tuple[str, ...]) -> None:
    """Reactivate deactivated accounts; `-` reads them from standard input.

    \b
    Example:
      flask users activate alice@example.com
    """

    def act(user: User) -> None:
        activate(user.id, actor=OPERATOR, request=request_of("activate"))
        print_change(f"{user.email} is active.", user, is_active=True)

    on_each(find_users(users), act)


@users_group.command("deactivate")
@USERS_ARGUMENT
@YES_OPTION
def deactivate_(users: tuple[str, ...], yes: bool) -> None:
    """Deactivate accounts and end their sessions at once; `-` reads them from standard input.

    Several accounts need a confirmation, or --yes.

    \b
    Examples:
      flask users deactivate alice@example.com
      flask users deactivate --yes - < leavers.txt
    """
    found = find_users(users)
    if len(found) > 1:
        confirm(f"This deactivates {len(found)} accounts. Continue?", yes=yes)

    def act(user: User) -> None:
        deactivate(user.id, actor=OPERATOR, request=request_of("deactivate"))
        text = f"{user.email} is deactivated, and its sessions have ended."
        print_change(text, user, is_active=False)

    on_each(found, act)


@users_group.command()
@USERS_ARGUMENT
@YES_OPTION
def delete(users: tuple[str, ...], yes: bool) -> None:
    """Delete accounts and all their data permanently, after a confirmation.

    Audit events stay, without personal data. `-` reads the accounts from standard input.

    \b
    Example:
      flask users delete alice@example.com --yes
    """
    found = find_users(users)
    names = found[0].email if len(found) == 1 else f"{len(found)} accounts"
    confirm(f"This deletes {names} permanently. Continue?", yes=yes)

    def act(user: User) -> None:
        remove_user(user.id, actor=OPERATOR, request=request_of("delete"))
        print_change(f"{user.email} is deleted.", user, is_deleted=True)

    on_each(found, act)


@users_group.command()
@USERS_ARGUMENT
@click.argument("role")
def grant(users: tuple[str, ...], role: str) -> None:
    """Grant a role to accounts; `-` reads the accounts from standard input.

    \b
    Examples:
      flask users grant alice admin
      flask users grant alice bob support
    """

    def act(user: User) -> None:
        names = grant_role(ref_of(user), role, actor=OPERATOR, request=request_of("grant"))
        print_change(f"{user.email} holds: {', '.join(names)}.", user, roles=names)

    on_each(find_users(users), act)


@users_group.command()
@USERS_ARGUMENT
@click.argument("role")
@YES_OPTION
def revoke(users: tuple[str, ...], role: str, yes: bool) -> None:
    """Revoke a role from accounts; `-` reads the accounts from standard input.

    Several accounts need a confirmation, or --yes.

    \b
    Example:
      flask users revoke alice admin
    """
    found = find_users(users)
    if len(found) > 1:
        confirm(f"This revokes the role {role} from {len(found)} users. Continue?", yes=yes)

    def act(user: User) -> None:
        names = revoke_role(ref_of(user), role, actor=OPERATOR, request=request_of("revoke"))
        print_change(f"{user.email} holds: {', '.join(names) or 'no role'}.", user, roles=names)

    on_each(found, act)
