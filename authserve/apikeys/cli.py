"""`flask api-keys`: list and revoke API keys of users."""

from datetime import datetime
from typing import Any
from uuid import UUID

import click

from authserve.apikeys.listing import KeyView, find_keys
from authserve.apikeys.revoke import (
    revoke_key,
    revoke_keys_made_before,
    revoke_keys_of_user,
)
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.cli import (
    YES_OPTION,
    Group,
    TimeParam,
    act_on_each,
    confirm,
    expand_stdin,
)
from authserve.core.cli_output import print_result, print_rows
from authserve.core.clock import to_rfc3339, to_rfc3339_or_none
from authserve.users.accounts import User, ref_of
from authserve.users.lookup import get_user_by_reference, get_users_by_reference

api_keys_group = Group("api-keys", help="API keys of users: list them, revoke them.")

REQUEST = RequestInfo(user_agent="flask api-keys revoke")

USERS_ARGUMENT = click.argument("users", metavar="USER...", nargs=-1, required=True)


@api_keys_group.command("list")
@USERS_ARGUMENT
def list_(users: tuple[str, ...]) -> None:
    """List the API keys of users, newest first; `-` reads the users from standard input.

    \b
    Examples:
      flask api-keys list alice
      flask api-keys list alice@example.com --json
    """
    found = get_users_by_reference(expand_stdin(users))
    print_rows(
        (_document(user, key) for user in found for key in find_keys(user.id)),
        columns={
            "ID": "id",
            "EMAIL": "email",
            "NAME": "name",
            "ENDS IN": "hint",
            "SCOPES": "scopes",
            "EXPIRES": "expires_at",
            "LAST USED": "last_used_at",
        },
        empty="There is no API key.",
    )


def _document(user: User, key: KeyView) -> dict[str, Any]:
    return {
        "id": str(key.id),
        "user_id": str(user.id),
        "email": user.email,
        "name": key.name,
        "hint": key.hint,
        "scopes": list(key.scopes),
        "created_at": to_rfc3339(key.created_at),
        "expires_at": to_rfc3339(key.expires_at),
        "last_used_at": to_rfc3339_or_none(key.last_used_at),
        "last_used_ip": key.last_used_ip,
    }


@api_keys_group.command()
@click.argument("users", metavar="[USER]...", nargs=-1)
@click.option("--key", "key_id", type=click.UUID, help="Only the key of this id, of one user.")
@click.option(
    "--made-before",
    type=TimeParam(is_utc_implied=True),
    help="The keys of all users that were made before this time (UTC if it has no offset).",
)
@YES_OPTION
def revoke(
    users: tuple[str, ...], key_id: UUID | None, made_before: datetime | None, yes: bool
) -> None:
    """Revoke the API keys of users; they are refused from now on.

    `-` reads the users from standard input. The keys of several users need a confirmation, or
    --yes. After restoring a backup, revoke those that were made before the restore: keys that had
    been revoked since the backup are good again.

    \b
    Examples:
      flask api-keys revoke alice
      flask api-keys revoke alice --key 01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f
      flask api-keys revoke --made-before 2026-11-23T06:00:00Z --yes
    """
    if (made_before is None) == (not users):
        raise click.UsageError("Name users, or a time with --made-before.")
    if made_before is not None:
        _revoke_made_before(made_before, yes=yes)
        return
    if key_id is not None:
        _revoke_one(users, key_id)
        return
    found = get_users_by_reference(expand_stdin(users))
    if len(found) > 1:
        confirm(f"This revokes the API keys of {len(found)} users. Continue?", yes=yes)

    def act(user: User) -> None:
        count = revoke_keys_of_user(user.id, actor=OPERATOR, request=REQUEST)
        text = f"{count} API keys of {user.email} are revoked."
        print_result(text, id=str(user.id), email=user.email, revoked=count)

    act_on_each(found, act, name=lambda user: user.email)


def _revoke_made_before(moment: datetime, *, yes: bool) -> None:
    confirm("This revokes the API keys of all users. Continue?", yes=yes)
    count = revoke_keys_made_before(moment, actor=OPERATOR, request=REQUEST)
    print_result(f"{count} API keys are revoked.", revoked=count)


def _revoke_one(users: tuple[str, ...], key_id: UUID) -> None:
    if len(users) != 1 or users[0] == "-":
        raise click.UsageError("Name one user with --key.")
    user = get_user_by_reference(users[0])
    revoke_key(ref_of(user), key_id, actor=OPERATOR, request=REQUEST)
    text = f"The API key of {user.email} is revoked."
    print_result(text, id=str(user.id), email=user.email, revoked=1)
