"""`flask users`: accounts from the command line."""

import json
import sys
from pathlib import Path
from typing import Any

import click
from flask.cli import AppGroup

from authserve.admin.seed import (
    SeedFileError,
    check_account,
    prepare_account,
    read_rows,
    seed,
)
from authserve.admin.service import UserWithRoles, create_user, list_users, with_roles
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.cli import tell_errors
from authserve.core.errors import ValidationFailedError
from authserve.http.schemas import user_document
from authserve.rbac.service import grant_role, revoke_role
from authserve.users.service import (
    activate,
    deactivate,
    get_user_by_reference,
    ref_of,
)
from authserve.verification.service import INVITATION_LIFETIME, make_invitation_link

users_group = AppGroup("users", help="Accounts: make, show, switch on and off, roles, seed.")

USER_ARGUMENT = click.argument("user")


def _request(command: str) -> RequestInfo:
    return RequestInfo(user_agent=f"flask users {command}")


@users_group.command()
@click.argument("email")
@click.option("--username", help="3 to 32 letters, digits, dots, hyphens, underscores.")
@click.option("--display-name", help="The name to show.")
@click.option("--role", "roles", multiple=True, help="A role to grant; can be repeated.")
@click.option("--password-stdin", is_flag=True, help="Read the password, one line, from stdin.")
@tell_errors
def create(
    email: str,
    username: str | None,
    display_name: str | None,
    roles: tuple[str, ...],
    password_stdin: bool,
) -> None:
    """Make an account, for example the first administrator's.

    Without --password-stdin, a link to set the password is printed, for whoever is to have the
    account. It is good once.

    \b
    Example:
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
    _print_user(made)
    if new.password_hash is None:
        link = make_invitation_link(ref_of(made.user), made.user.email)
        lifetime = f"{INVITATION_LIFETIME.days} days"
        click.echo(f"To set the password, open this link, once and within {lifetime}: {link}")


def _read_password() -> str:
    """One line of standard input; bytes that are not UTF-8 are left for the policy to refuse."""
    line = sys.stdin.buffer.readline().decode(errors="surrogateescape")
    password = line.rstrip("\r\n")
    if not password:
        raise ValidationFailedError({"password": ["There is none on standard input."]})
    return password


@users_group.command("list")
@click.option("--role", help="Only holders of this role.")
@click.option("--active/--inactive", default=None, help="Only accounts in this state.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@tell_errors
def list_(role: str | None, active: bool | None, as_json: bool) -> None:
    """List accounts, oldest first.

    \b
    Example:
      flask users list --role admin
    """
    for found in list_users(role=role, is_active=active):
        if as_json:
            click.echo(json.dumps(_document(found)))
        else:
            state = "active" if found.user.is_active else "inactive"
            name = found.user.username or "-"
            click.echo(
                "\t".join(
                    (str(found.user.id), found.user.email, name, state, ",".join(found.roles))
                )
            )


@users_group.command()
@USER_ARGUMENT
@tell_errors
def show(user: str) -> None:
    """Show the account with this id, address or username, as JSON.

    \b
    Example:
      flask users show alice
    """
    _print_user(with_roles(get_user_by_reference(user)))


@users_group.command("activate")
@USER_ARGUMENT
@tell_errors
def activate_(user: str) -> None:
    """Let a deactivated account be used again.

    \b
    Example:
      flask users activate alice@example.com
    """
    found = get_user_by_reference(user)
    activate(found.id, actor=VISITOR, request=_request("activate"))
    click.echo(f"{found.email} is active.")


@users_group.command("deactivate")
@USER_ARGUMENT
@tell_errors
def deactivate_(user: str) -> None:
    """Switch an account off and end its sessions at once.

    \b
    Example:
      flask users deactivate alice@example.com
    """
    found = get_user_by_reference(user)
    deactivate(found.id, actor=VISITOR, request=_request("deactivate"))
    click.echo(f"{found.email} is deactivated, and its sessions have ended.")


@users_group.command()
@USER_ARGUMENT
@click.argument("role")
@tell_errors
def grant(user: str, role: str) -> None:
    """Give an account a role.

    \b
    Example:
      flask users grant alice admin
    """
    found = get_user_by_reference(user)
    names = grant_role(ref_of(found), role, actor=VISITOR, request=_request("grant"))
    click.echo(f"{found.email} holds: {', '.join(names)}.")


@users_group.command()
@USER_ARGUMENT
@click.argument("role")
@tell_errors
def revoke(user: str, role: str) -> None:
    """Take a role from an account.

    \b
    Example:
      flask users revoke alice admin
    """
    found = get_user_by_reference(user)
    names = revoke_role(ref_of(found), role, actor=VISITOR, request=_request("revoke"))
    click.echo(f"{found.email} holds: {', '.join(names) or 'no role'}.")


@users_group.command("seed")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@tell_errors
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
        with click.progressbar(length=len(rows), label="Hashing passwords", file=sys.stderr) as bar:
            result = seed(rows, on_progress=lambda: bar.update(1))
    except SeedFileError as error:
        raise click.ClickException(f"Nothing was written.\n{error}") from error
    click.echo(f"{result.created} made, {result.existing} there already.")


def _document(found: UserWithRoles) -> dict[str, Any]:
    return user_document(found.user, found.roles)


def _print_user(found: UserWithRoles) -> None:
    click.echo(json.dumps(_document(found), indent=2, ensure_ascii=False))
