"""`flask users`: accounts from the command line."""

from collections.abc import Callable
from typing import Any

import click

from authserve.admin.accounts import UserWithRoles, create_user, list_users, with_roles
from authserve.admin.administration import invite_again, invite_user, remove_user
from authserve.admin.schemas import SignInStatusSchema, sign_in_status_document
from authserve.admin.sign_in_status import sign_in_status
from authserve.admin.status_text import describe_status
from authserve.admin.unlock import RESET_LINK_LIFETIME, issue_reset_link, unlock_user
from authserve.auth.first_administrator import FIRST_LINK_LIFETIME, make_first_link
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.cli import (
    YES_OPTION,
    Group,
    act_on_each,
    confirm,
    expand_stdin,
    is_json,
    print_document,
    print_hint,
    print_line,
    print_result,
    print_rows,
    read_line,
)
from authserve.core.errors import ValidationFailedError
from authserve.http.schemas import user_document
from authserve.rbac.assignment import grant_role, revoke_role
from authserve.users.account_input import AccountInput, hash_given_password, parse_account
from authserve.users.accounts import (
    NewUser,
    User,
    activate,
    deactivate,
    find_by_email,
    get_users_by_reference,
    is_any_account,
    ref_of,
)
from authserve.users.credentials import is_password_disabled
from authserve.users.errors import EmailTakenError
from authserve.verification.requests import INVITATION_LIFETIME, make_invitation_link

users_group = Group("users", help="Accounts: create, list, activate, deactivate, roles, import.")

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
    """Create an account, for example for the first administrator, and print it as JSON.

    Without --password-stdin, standard error shows a link for the owner to set the password. The
    link works once.

    \b
    Examples:
      flask users create alice@example.com --username alice --role admin --password-stdin
      flask users create bob@example.com
    """
    account = parse_account(
        {
            "email": email,
            "username": username,
            "display_name": display_name,
            "password": _read_password() if password_stdin else None,
            "roles": list(roles),
        }
    )
    # The address counts as verified, because the operator confirms it.
    new = NewUser(
        email=account.email,
        username=account.username,
        display_name=account.display_name,
        password_hash=hash_given_password(account.password),
        email_verified=True,
    )
    made = create_user(new, roles=account.roles, actor=OPERATOR, request=_request("create"))
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

    Several accounts are shown one per line; `-` reads them from standard input.

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
    """Reactivate deactivated accounts; `-` reads them from standard input.

    \b
    Example:
      flask users activate alice@example.com
    """

    def act(user: User) -> None:
        activate(user.id, actor=OPERATOR, request=_request("activate"))
        _print_change(f"{user.email} is active.", user, is_active=True)

    _on_each(_find(users), act)


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
    found = _find(users)
    if len(found) > 1:
        confirm(f"This locks {len(found)} people out. Go on?", yes=yes)

    def act(user: User) -> None:
        deactivate(user.id, actor=OPERATOR, request=_request("deactivate"))
        text = f"{user.email} is deactivated, and its sessions have ended."
        _print_change(text, user, is_active=False)

    _on_each(found, act)


@users_group.command()
@click.argument("emails", metavar="EMAIL...", nargs=-1, required=True)
@click.option("--username", help="3 to 32 letters, digits, dots, hyphens, underscores.")
@click.option("--display-name", help="The name to show.")
@click.option("--role", "roles", multiple=True, help="A role to grant; can be repeated.")
def invite(
    emails: tuple[str, ...], username: str | None, display_name: str | None, roles: tuple[str, ...]
) -> None:
    """Create accounts and mail their owners a link to choose a password.

    An invited account that is not activated yet is invited again, and its older link stops
    working. `-` reads the addresses from standard input.

    \b
    Examples:
      flask users invite bob@example.com --role support
      flask users invite - < people.txt
    """
    addresses = expand_stdin(emails)
    if len(addresses) > 1 and (username or display_name):
        raise click.UsageError("--username and --display-name go with one address.")
    given = {"username": username, "display_name": display_name, "roles": list(roles)}
    accounts = [parse_account({"email": address, **given}) for address in addresses]
    act_on_each(accounts, _invite, name=lambda account: account.email)
    print_hint("`flask worker` sends the mail.")


def _invite(account: AccountInput) -> None:
    email, roles = account.email, account.roles
    new = NewUser(email=email, username=account.username, display_name=account.display_name)
    try:
        made = invite_user(new, roles=roles, actor=OPERATOR, request=_request("invite"))
    except EmailTakenError:
        user = find_by_email(email)
        if user is None or new.username or new.display_name or roles:
            raise
        invite_again(user.id, actor=OPERATOR, request=_request("invite"))
        _print_change(f"{email} is invited again.", user, is_new=False)
    else:
        _print_change(f"{email} is invited.", made.user, is_new=True)


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
    found = _find(users)
    names = found[0].email if len(found) == 1 else f"{len(found)} accounts"
    confirm(f"This deletes {names} for good. Go on?", yes=yes)

    def act(user: User) -> None:
        remove_user(user.id, actor=OPERATOR, request=_request("delete"))
        _print_change(f"{user.email} is deleted.", user, is_deleted=True)

    _on_each(found, act)


@users_group.command()
@USERS_ARGUMENT
def unlock(users: tuple[str, ...]) -> None:
    """End the login throttle's blocks on accounts; `-` reads the accounts from standard input.

    Blocks on a client's IP address stay. A password that was disabled after a hundred wrong
    attempts stays disabled: its owner needs a new one, see `flask users reset-link`.

    \b
    Example:
      flask users unlock alice
    """

    def act(user: User) -> None:
        unlock_user(user.id, actor=OPERATOR, request=_request("unlock"))
        _print_change(f"No block is on {user.email} any more.", user, is_throttled=False)
        if is_password_disabled(user.failed_sign_ins):
            print_hint(f"Its password is switched off. See: flask users why {user.email}")

    _on_each(_find(users), act)


@users_group.command()
@USERS_ARGUMENT
def why(users: tuple[str, ...]) -> None:
    """Explain why users can or cannot sign in; `-` reads them from standard input.

    Blocks on a client's IP address or on a known device are not shown.

    \b
    Examples:
      flask users why alice
      flask users why alice@example.com --json
    """
    found = _find(users)
    for user in found:
        status = sign_in_status(user.id)
        if is_json():
            document = SignInStatusSchema().dump(sign_in_status_document(status))
            identity = {"id": str(user.id), "email": user.email}
            print_document({**identity, **document}, is_one_of_many=len(found) > 1)
        else:
            for line in describe_status(user.email, status):
                print_line(line)


@users_group.command("reset-link")
@USERS_ARGUMENT
def reset_link(users: tuple[str, ...]) -> None:
    """Print links to set a new password, for users who cannot receive mail.

    Each link works once and ends all sessions when it is used. Older reset links stop working.
    Give a link only to the owner of the account.

    \b
    Example:
      flask users reset-link alice@example.com
    """
    minutes = int(RESET_LINK_LIFETIME.total_seconds()) // 60

    def act(user: User) -> None:
        link = issue_reset_link(user.id, actor=OPERATOR, request=_request("reset-link"))
        _print_change(f"{user.email}: {link}", user, link=link, lifetime_minutes=minutes)

    _on_each(_find(users), act)
    print_hint(f"A link is good once, within {minutes} minutes.")


@users_group.command("first-link")
@click.option("--if-empty", is_flag=True, help="Do nothing where there are accounts.")
def first_link(if_empty: bool) -> None:
    """Print a link to create the first administrator, while there is no account.

    The link works once, within 24 hours; the previous link stops working. Without a browser, send
    its token to POST /api/v1/auth/first-administrator.

    \b
    Example:
      flask users first-link
    """
    if if_empty and is_any_account():
        return
    link = make_first_link()
    hours = int(FIRST_LINK_LIFETIME.total_seconds()) // 3600
    print_hint(
        f"There is no account yet. This link makes the first administrator, once, in {hours} h:"
    )
    print_result(link, link=link, lifetime_hours=hours)


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
        names = grant_role(ref_of(user), role, actor=OPERATOR, request=_request("grant"))
        _print_change(f"{user.email} holds: {', '.join(names)}.", user, roles=names)

    _on_each(_find(users), act)


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
    found = _find(users)
    if len(found) > 1:
        confirm(f"This takes the role {role} from {len(found)} people. Go on?", yes=yes)

    def act(user: User) -> None:
        names = revoke_role(ref_of(user), role, actor=OPERATOR, request=_request("revoke"))
        _print_change(f"{user.email} holds: {', '.join(names) or 'no role'}.", user, roles=names)

    _on_each(found, act)


def _document(found: UserWithRoles) -> dict[str, Any]:
    return user_document(found.user, found.roles)


def _print_change(text: str, user: User, **change: Any) -> None:
    print_result(text, id=str(user.id), email=user.email, **change)
