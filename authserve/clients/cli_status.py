"""`flask clients status`: why an app cannot sign people in, and what went wrong lately."""

from collections.abc import Iterator

from authserve.clients.cli import client_id_argument, clients_group
from authserve.clients.status import (
    ClientObstacle,
    ClientStatus,
    find_client_status,
    status_document,
)
from authserve.core.cli_output import is_json, print_document, print_line
from authserve.core.clock import to_rfc3339

OBSTACLES = {
    ClientObstacle.CLIENT_DISABLED: "it is disabled. Run: flask clients enable {client}",
    ClientObstacle.CLIENT_IS_MACHINE: "it is a machine, which acts in its own name.",
    ClientObstacle.SECRET_MISSING: (
        "it has no secret that is valid. Run: flask clients rotate-secret {client}"
    ),
    ClientObstacle.SCOPES_MISSING: "it has no scope. A sign-in needs openid at least.",
    ClientObstacle.ROLES_UNKNOWN: "none of the roles that may use it exists. See: flask roles list",
}
"""The end of the sentence about each obstacle."""


@clients_group.command()
@client_id_argument
def status(client_id: str) -> None:
    """Explain why an app cannot sign people in, and show its last failures.

    Addresses and scopes that requests named are a stranger's text. `flask clients check` decides
    for one user.

    \b
    Example:
      flask clients status wiki
    """
    found = find_client_status(client_id)
    if is_json():
        print_document(status_document(found))
        return
    for line in describe_status(client_id, found):
        print_line(line)


def describe_status(client_id: str, status: ClientStatus) -> Iterator[str]:
    """Yield the sentences of a status, each on a line."""
    for reason in status.reasons:
        words = OBSTACLES[reason].replace("{client}", client_id)
        yield f"{client_id} cannot sign users in: {words}"
    if not status.reasons:
        yield f"{client_id} can sign users in."
    for refused in status.refused_redirect_uris:
        at = to_rfc3339(refused.last_at)
        yield f"A request named a redirect URI that is not registered, last {at}: {refused.value}"
    if status.addable:
        yield f"To register it: flask clients update {client_id} --set 'redirect_uris=[...]'"
    if status.dropped_scopes:
        names = " ".join(status.dropped_scopes)
        yield f"Requests asked for scopes that the client does not have: {names}"
    tokens = status.backchannel
    if tokens is not None and tokens.pending:
        yield f"{tokens.pending} logout tokens wait: {tokens.last_error or 'not tried yet'}."
    if tokens is not None and tokens.failed_at is not None:
        at = to_rfc3339(tokens.failed_at)
        yield f"{tokens.failed} logout tokens were given up, the last {at}: {tokens.fault}."
    for failure in status.last_failures:
        at = to_rfc3339(failure.last_at)
        yield f"{at} {failure.reason} ({failure.correlation_id or 'no correlation id'})"
