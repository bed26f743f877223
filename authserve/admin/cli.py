"""`flask users`: accounts from the command line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from authserve.admin.seed import (
    SeedFileError,
    check_account,
    prepare_account,
    read_rows,
    seed,
)
from authserve.admin.service import UserWithRoles, create_user, list_users, with_roles
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.cli import (
    YES_OPTION,
    Group,
    act_on_each,
    confirm,
    expand_stdin,
    print_document,
    print_hint,
    print_result,
    print_rows,
    progress_bar,
    read_line,
)
from authserve.core.errors import ValidationFailedError
from authserve.http.schemas import user_document
from authserve.rbac.service import grant_role, revoke_role
from authserve.users.service import (
    User,
    activate,
    deactivate,
    get_users_by_reference,
    ref_of,
)
from authserve.verification.service import INVITATION_LIFETIME, make_invitation_link

users_group = Group("users", help="Accounts: make, show, switch on and off, roles, seed.")

USERS_ARGUMENT = click.argument("users", metavar="USER...", nargs=-1, required=True)


def _request(command: str) -> RequestInfo:
    return RequestInfo(user_agent=f"flask users {command}")


def _find(references: tuple[str, ...]) -> list[User]:
    return get_users_by_reference(expand_stdin(references))


def _on_each(users: list[User], act: Callable[[User], None]) -> None:
    act_on_each(users, act, name=lambda user: user.email)


@users_group.command()
@click.argument("email")
@click.option("--username", help="3 to 32 letters, digits, dots, hyphens, underscores.")
@click.option("--display-name", help="The name to show.")
@click.option("--role", "roles", multiple=True, help="A role to grant; can be repeated.")
@click.option("--password-stdin", is_flag=True, help="Read the password, one line, from stdin.")
def create(
    email: str,
    username: str | None,
    display_name: str | None,
    roles: tuple[str, ...],
    password_stdin: bool,
) -> None:
    """Make an account, for example the first administrator's, and print it as JSON.

    Without --password-stdin, standard error shows a link with which the owner of the account
    sets the password. It is good once.

    \b
    Examples:
      flask users create alice@example.com --username alice --role admin --password-stdin
      flask users create bob@example.com
    """
    given = {
        "email": email,
        "username": username,
        "display_name": display_name,
        "password": _read_password() if password_stdin else None,
        "roles": list(roles),
    }
    checked = check_account(given)
    wanted = checked.pop("roles")
    new = prepare_account(checked)
    made = create_user(new, roles=wanted, actor=VISITOR, request=_request("create"))
    print_document(_document(made))
    if new.password_hash is None:
        link = make_invitation_link(ref_of(made.user), made.user.email)
        lifetime = f"{INVITATION_LIFETIME.days} days"
        print_hint(f"To set the password, open this link, once and within {lifetime}: {link}")


def _read_password() -> str:
    """Return one line of standard input; the policy refuses bytes that are not UTF-8."""
    password = read_line()
    if not password:
        raise ValidationFailedError({"password": ["There is none on standard input."]})
    return password


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
        map(_document, list_users(role=role, is_active=active)),
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

    Several are shown one a line; `-` reads them from standard input.

    \b
    Examples:
      flask users show alice
      flask users show alice bob@example.com
    """
    found = _find(users)
    for user in found:
        print_document(_document(with_roles(user)), is_one_of_many=len(found) > 1)


@users_group.command("activate")
@USERS_ARGUMENT
def activate_(users: tuple[str, ...]) -> None:
    """Let deactivated accounts be used again; `-` reads them from standard input.

    \b
    Example:
      flask users activate alice@example.com
    """

    def act(user: User) -> None:
        activate(user.id, actor=VISITOR, request=_request("activate"))
        _print_change(f"{user.email} is active.", user, is_active=True)

    _on_each(_find(users), act)


@users_group.command("deactivate")
@USERS_ARGUMENT
@YES_OPTION
def deactivate_(users: tuple[str, ...], yes: bool) -> None:
    """Switch accounts off and end their sessions at once; `-` reads them from standard input.

    Several accounts need a confirmation, or --yes.

    \b
    Examples:
      flask users deactivate alice@example.com
      flask users deactivate --yes - < leavers.txt
    """
    found = _find(users)
    if len(found) > 1:
        confirm(f"This locks {len(found)} people out. Go on?", yes=yes)

    def act(user: User) -> None:
        deactivate(user.id, actor=VISITOR, request=_request("deactivate"))
        text = f"{user.email} is deactivated, and its sessions have ended."
        _print_change(text, user, is_active=False)

    _on_each(found, act)


@users_group.command()
@USERS_ARGUMENT
@click.argument("role")
def grant(users: tuple[str, ...], role: str) -> None:
    """Give accounts a role; `-` reads the accounts from standard input.

    \b
    Examples:
      flask users grant alice admin
      flask users grant alice bob support
    """

    def act(user: User) -> None:
        names = grant_role(ref_of(user), role, actor=VISITOR, request=_request("grant"))
        _print_change(f"{user.email} holds: {', '.join(names)}.", user, roles=names)

    _on_each(_find(users), act)


@users_group.command()
@USERS_ARGUMENT
@click.argument("role")
@YES_OPTION
def revoke(users: tuple[str, ...], role: str, yes: bool) -> None:
    """Take a role from accounts; `-` reads the accounts from standard input.

    Several accounts need a confirmation, or --yes.

    \b
    Example:
      flask users revoke alice admin
    """
    found = _find(users)
    if len(found) > 1:
        confirm(f"This takes the role {role} from {len(found)} people. Go on?", yes=yes)

    def act(user: User) -> None:
        names = revoke_role(ref_of(user), role, actor=VISITOR, request=_request("revoke"))
        _print_change(f"{user.email} holds: {', '.join(names) or 'no role'}.", user, roles=names)

    _on_each(found, act)


@users_group.command("seed")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def seed_(file: Path) -> None:
    """Make the accounts of FILE that are not there yet; nothing is written if a row is wrong.

    FILE is a JSON list of objects, or CSV with a header; the columns are email, username,
    password, display_name and roles, all but email optional.

    \b
    Example:
      flask users seed docs/examples/users.json
    """
    try:
        rows = read_rows(file)
        with progress_bar(len(rows), "Hashing passwords") as update:
            result = seed(rows, on_progress=lambda: update(1))
    except SeedFileError as error:
        raise click.ClickException(f"Nothing was written.\n{error}") from error
    print_result(
        f"{result.created} made, {result.existing} there already.",
        created=result.created,
        existing=result.existing,
    )


def _document(found: UserWithRoles) -> dict[str, Any]:
    return user_document(found.user, found.roles)


def _print_change(text: str, user: User, **change: Any) -> None:
    print_result(text, id=str(user.id), email=user.email, **change)
