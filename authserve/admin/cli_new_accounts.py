"""`flask users create`, `invite` and `first-link`: the ways to a new account."""

import click

from authserve.admin.administration import create_user, invite_again, invite_user
from authserve.admin.cli import document_of, print_change, request_of, users_group
from authserve.auth.first_administrator import FIRST_LINK_LIFETIME, make_first_link
from authserve.core.actor import OPERATOR
from authserve.core.cli import act_on_each, expand_stdin, read_line
from authserve.core.cli_output import print_document, print_hint, print_result
from authserve.core.errors import ValidationFailedError
from authserve.users.account_input import AccountInput, hash_given_password, parse_account
from authserve.users.accounts import NewUser, ref_of
from authserve.users.errors import EmailTakenError
from authserve.users.lookup import find_by_email, is_any_account
from authserve.verification.policy import LIFETIMES, Purpose
from authserve.verification.requests import make_invitation_link


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
    made = create_user(new, roles=account.roles, actor=OPERATOR, request=request_of("create"))
    print_document(document_of(made))
    if new.password_hash is None:
        link = make_invitation_link(ref_of(made.user), made.user.email)
        lifetime = f"{LIFETIMES[Purpose.INVITATION].days} days"
        print_hint(f"To set the password, open this link, once and within {lifetime}: {link}")


def _read_password() -> str:
    """Return one line of standard input; the policy refuses bytes that are not UTF-8."""
    password = read_line()
    if not password:
        raise ValidationFailedError({"password": ["Standard input holds no password."]})
    return password


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
        raise click.UsageError("--username and --display-name need a single address.")
    given = {"username": username, "display_name": display_name, "roles": list(roles)}
    accounts = [parse_account({"email": address, **given}) for address in addresses]
    act_on_each(accounts, _invite, name=lambda account: account.email)
    print_hint("`flask worker` sends the mail.")


def _invite(account: AccountInput) -> None:
    email, roles = account.email, account.roles
    new = NewUser(email=email, username=account.username, display_name=account.display_name)
    try:
        made = invite_user(new, roles=roles, actor=OPERATOR, request=request_of("invite"))
    except EmailTakenError:
        user = find_by_email(email)
        if user is None or new.username or new.display_name or roles:
            raise
        invite_again(user.id, actor=OPERATOR, request=request_of("invite"))
        print_change(f"{email} is invited again.", user, is_new=False)
    else:
        print_change(f"{email} is invited.", made.user, is_new=True)


@users_group.command("first-link")
@click.option("--if-empty", is_flag=True, help="Do nothing if an account exists.")
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
        f"No account exists. Within {hours} h this link creates the first administrator, once:"
    )
    print_result(link, link=link, lifetime_hours=hours)
