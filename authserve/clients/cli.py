"""`flask clients`: apps and machines that sign in through this service."""

import json
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

import click

from authserve.clients.client_secrets import (
    add_secret,
    delete_secret,
    list_secrets,
)
from authserve.clients.configuration import ClientChanges
from authserve.clients.documents import client_document, secret_document
from authserve.clients.listing import all_clients
from authserve.clients.registry import (
    change_client,
    delete_client,
    get_client,
    revoke_client,
)
from authserve.clients.schemas import ClientChangesSchema
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.cli import Group, confirm
from authserve.core.cli_output import print_document, print_result, print_rows
from authserve.http.openapi import load_input

clients_group = Group("clients", help="Apps and machines that sign in through this service.")

client_id_argument = click.argument("client_id")


def request_of(command: str) -> RequestInfo:
    """Return the origin of a command, for audit events."""
    return RequestInfo(user_agent=f"flask clients {command}")


def _parse_values(_ctx: click.Context, _param: click.Parameter, pairs: tuple[str, ...]) -> Any:
    """Return the values of `name=value` options; a value is JSON, or else a text."""
    values = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise click.BadParameter("Write name=value, such as require_pkce=false.")
        try:
            values[name] = json.loads(text)
        except ValueError:
            values[name] = text
    return values


values_option = click.option(
    "--set",
    "values",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_parse_values,
    help="Any other field of a client; lists and numbers as JSON.",
)


def _show(client_id: str) -> dict[str, Any]:
    return client_document(get_client(client_id), list_secrets(client_id))


@clients_group.command("list")
def list_() -> None:
    """List clients by id.

    \b
    Example:
      flask clients list
    """
    print_rows(
        (client_document(client, ()) for client in all_clients()),
        columns={
            "ID": "client_id",
            "KIND": "kind",
            "ENABLED": "enabled",
            "FIRST PARTY": "first_party",
            "SCOPES": "scopes",
            "NAME": "name",
        },
        empty="There is no client.",
    )


@clients_group.command()
@client_id_argument
def show(client_id: str) -> None:
    """Show a client as JSON, without its secrets.

    \b
    Example:
      flask clients show wiki
    """
    print_document(_show(client_id))


@clients_group.command()
@client_id_argument
@values_option
def update(client_id: str, values: dict[str, Any]) -> None:
    """Change a client's values; what it may do changes at once.

    \b
    Examples:
      flask clients update wiki --set name=Docs --set access_token_ttl=300
      flask clients update wiki --set 'redirect_uris=["https://docs.example.com/callback"]'
    """
    changes = cast(ClientChanges, load_input(ClientChangesSchema(), values))
    change_client(client_id, changes, actor=OPERATOR, request=request_of("update"))
    print_document(_show(client_id))


@clients_group.command("rotate-secret")
@client_id_argument
@click.option("--days", type=click.IntRange(1, 3650), help="Days until the new secret expires.")
@click.option("--drop", type=click.UUID, help="The id of a secret to delete first.")
def rotate_secret(client_id: str, days: int | None, drop: UUID | None) -> None:
    """Give a client a second secret, and print it: this once.

    Both are accepted, so that the app can be changed without an outage. Then delete the old one.

    \b
    Examples:
      flask clients rotate-secret wiki
      flask clients rotate-secret wiki --drop 01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f
    """
    request = request_of("rotate-secret")
    if drop is not None:
        delete_secret(client_id, drop, actor=OPERATOR, request=request)
    lifetime = timedelta(days=days) if days is not None else None
    secret, facts = add_secret(client_id, expires_in=lifetime, actor=OPERATOR, request=request)
    print_document({**secret_document(facts), "client_secret": secret})


@clients_group.command("delete-secret")
@client_id_argument
@click.argument("secret_id", type=click.UUID)
def delete_secret_(client_id: str, secret_id: UUID) -> None:
    """Delete a secret; it is refused from now on.

    \b
    Example:
      flask clients delete-secret wiki 01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f
    """
    delete_secret(client_id, secret_id, actor=OPERATOR, request=request_of("delete-secret"))
    print_result("The secret is deleted.", id=str(secret_id), is_deleted=True)


@clients_group.command()
@client_id_argument
def disable(client_id: str) -> None:
    """Refuse all calls of a client until it is enabled again.

    \b
    Example:
      flask clients disable wiki
    """
    _switch(client_id, "disable", enabled=False)


@clients_group.command()
@client_id_argument
def enable(client_id: str) -> None:
    """Let a client sign people in again.

    \b
    Example:
      flask clients enable wiki
    """
    _switch(client_id, "enable", enabled=True)


def _switch(client_id: str, command: str, *, enabled: bool) -> None:
    change_client(client_id, {"enabled": enabled}, actor=OPERATOR, request=request_of(command))
    print_document(_show(client_id))


@clients_group.command()
@client_id_argument
def revoke(client_id: str) -> None:
    """End every session of a client, and refuse all its tokens; its users sign in again.

    \b
    Example:
      flask clients revoke wiki
    """
    revoke_client(client_id, actor=OPERATOR, request=request_of("revoke"))
    print_result(f"The sessions of {client_id} have ended.", client_id=client_id, is_revoked=True)


@clients_group.command()
@client_id_argument
@click.option("--yes", is_flag=True, help="Do not ask.")
def delete(client_id: str, yes: bool) -> None:
    """Delete a client, its secrets and its sessions; its id is never used again.

    \b
    Example:
      flask clients delete wiki --yes
    """
    name = get_client(client_id).configuration.name
    confirm(f"Delete {name} ({client_id}), and end all its sessions?", yes=yes)
    delete_client(client_id, actor=OPERATOR, request=request_of("delete"))
    print_result(f"The client {client_id} is deleted.", client_id=client_id, is_deleted=True)
