"""`flask clients check`: why a user can or cannot sign in to an app."""

from collections.abc import Iterator
from dataclasses import asdict

import click

from authserve.clients.cli import clients_group
from authserve.clients.registry import RegisteredClient, get_client
from authserve.core.cli_output import is_json, print_document, print_line
from authserve.core.clock import now
from authserve.oidc.check import Obstacle, SignInCheck, check_sign_in
from authserve.users.lookup import get_user_by_reference

OBSTACLES = {
    Obstacle.CLIENT_DISABLED: "the app is disabled. Run: flask clients enable {client}",
    Obstacle.CLIENT_IS_MACHINE: "the client is a machine, which signs no users in.",
    Obstacle.USER_DEACTIVATED: "the account is deactivated. Run: flask users activate {user}",
    Obstacle.ROLE_MISSING: "the app is open to the roles {roles} alone, and the user has none.",
    Obstacle.ROLE_SLEEPING: "a role opens the app only after a second factor, which is asked for.",
    Obstacle.LEVEL_MISSING: "the app needs {level}, which the user's factors do not reach.",
    Obstacle.SCOPE_MISSING: "the app's scopes are permissions that no role of the user holds.",
}
"""The end of the sentence about each obstacle; names in braces are filled in."""


@clients_group.command()
@click.argument("user")
@click.argument("client_id")
def check(user: str, client_id: str) -> None:
    """Explain why a user can or cannot sign in to an app.

    The user is named by id, address or username. Addresses that the app sent and that are not
    registered are shown too: they are a stranger's text.

    \b
    Example:
      flask clients check alice wiki
    """
    client = get_client(client_id)
    result = check_sign_in(get_user_by_reference(user), client, now=now())
    if is_json():
        print_document({"can_sign_in": result.obstacle is None, **asdict(result)})
    else:
        for line in describe_check(user, client, result):
            print_line(line)


def describe_check(user: str, client: RegisteredClient, result: SignInCheck) -> Iterator[str]:
    """Yield the sentences of a check's result, each on a line."""
    configuration = client.configuration
    if result.obstacle is None:
        yield f"{user} can sign in to {configuration.name}, with {' '.join(result.scopes)}."
        if result.needs_consent:
            yield "The user is asked to allow the app first."
    else:
        words = OBSTACLES[result.obstacle]
        names = {
            "client": client.client_id,
            "user": user,
            "roles": ", ".join(configuration.allowed_roles),
            "level": configuration.min_acr or "",
        }
        for name, value in names.items():
            words = words.replace(f"{{{name}}}", value)
        yield f"{user} cannot sign in to {configuration.name}: {words}"
    for scope in result.missing_scopes:
        yield f"The scope {scope} is left out: no role of the user holds that permission."
    for uri in result.refused_redirect_uris:
        yield f"The app sent a redirect URI that is not registered: {uri}"
    if result.addable:
        yield f"To change them: flask clients update {client.client_id} --set 'redirect_uris=[...]'"
