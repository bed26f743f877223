"""The status of a client: why it cannot sign people in, and what went wrong lately."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from authserve.clients.client_secrets import list_secrets
from authserve.clients.configuration import ClientConfiguration
from authserve.clients.failures import RecordedFailure, list_dropped_scopes, list_failures
from authserve.clients.kinds import AuthMethod, ClientKind
from authserve.clients.redirect_uris import is_at_registered_place
from authserve.clients.refused_redirects import RefusedRedirect, list_refused_redirects
from authserve.clients.registry import get_client
from authserve.core.clock import now, to_rfc3339, to_rfc3339_or_none
from authserve.core.container import Slot
from authserve.core.frozen import frozen
from authserve.rbac.assignment import find_missing_roles


class ClientObstacle(StrEnum):
    """A reason why a client can sign no user in: a closed list."""

    CLIENT_DISABLED = "client_disabled"
    CLIENT_IS_MACHINE = "client_is_machine"
    SECRET_MISSING = "secret_missing"
    SCOPES_MISSING = "scopes_missing"
    ROLES_UNKNOWN = "roles_unknown"


@frozen(kw_only=True)
class LogoutDeliveries:
    """The state of the logout tokens for a client.

    Args:
        pending: those that wait for their first or next try.
        oldest_pending_at: the time at which the first of them was written; None without any.
        last_error: of the newest of them that was tried; None if none was.
        delivered, failed: numbers since the client's first; failed ones were given up.
        delivered_at, failed_at: of the last one; None without any.
        fault: why the last failed one was given up; None without any.
    """

    pending: int
    oldest_pending_at: datetime | None
    last_error: str | None
    delivered: int
    failed: int
    delivered_at: datetime | None
    failed_at: datetime | None
    fault: str | None


LOGOUT_DELIVERIES = Slot[Callable[[str], LogoutDeliveries]]("logout_deliveries")
"""The function that finds a client's logout tokens, which a higher layer sends."""


@frozen(kw_only=True)
class ClientStatus:
    """The status of a client.

    Args:
        reasons: empty if it can sign users in, perhaps not every user.
        refused_redirect_uris: unregistered redirect URIs that requests named: a stranger's texts.
        addable: those of them with the scheme and host of a registered one.
        dropped_scopes: scopes that requests asked for and the client does not have.
        last_failures: newest first.
        backchannel: None for a client that gets no logout token.
    """

    reasons: Sequence[ClientObstacle]
    refused_redirect_uris: Sequence[RefusedRedirect]
    addable: Sequence[str]
    dropped_scopes: Sequence[str]
    last_failures: Sequence[RecordedFailure]
    backchannel: LogoutDeliveries | None


def find_client_status(client_id: str) -> ClientStatus:
    """Return the status of a client.

    Raises:
        ClientNotFoundError: there is none of this id.
    """
    configuration = get_client(client_id).configuration
    refused = list_refused_redirects(client_id)
    registered = configuration.return_uris
    addable = [each.value for each in refused if is_at_registered_place(each.value, registered)]
    dropped = set(list_dropped_scopes(client_id)) - set(configuration.scopes)
    return ClientStatus(
        reasons=list(_find_obstacles(client_id, configuration, now())),
        refused_redirect_uris=[each for each in refused if each.value not in registered],
        addable=addable,
        dropped_scopes=sorted(dropped),
        last_failures=list_failures(client_id),
        backchannel=_find_deliveries(client_id, configuration),
    )


def _find_deliveries(client_id: str, client: ClientConfiguration) -> LogoutDeliveries | None:
    find = LOGOUT_DELIVERIES.find()
    return None if client.backchannel_logout_uri is None or find is None else find(client_id)


def _find_obstacles(
    client_id: str, client: ClientConfiguration, moment: datetime
) -> Iterator[ClientObstacle]:
    if not client.enabled:
        yield ClientObstacle.CLIENT_DISABLED
    if client.kind is ClientKind.MACHINE:
        yield ClientObstacle.CLIENT_IS_MACHINE
    if client.auth_method is AuthMethod.SECRET and not _has_live_secret(client_id, moment):
        yield ClientObstacle.SECRET_MISSING
    if not client.scopes:
        yield ClientObstacle.SCOPES_MISSING
    roles = set(client.allowed_roles)
    if roles and find_missing_roles(roles) == roles:
        yield ClientObstacle.ROLES_UNKNOWN


def _has_live_secret(client_id: str, moment: datetime) -> bool:
    ends = [secret.expires_at for secret in list_secrets(client_id)]
    return any(end is None or end > moment for end in ends)


def status_document(status: ClientStatus) -> dict[str, Any]:
    """Return a status in the form of `answer_schemas.ClientStatusSchema`."""
    return {
        "can_sign_in": not status.reasons,
        "reasons": [reason.value for reason in status.reasons],
        "refused_redirect_uris": [
            {"value": each.value, "at": to_rfc3339(each.last_at), "count": each.count}
            for each in status.refused_redirect_uris
        ],
        "dropped_scopes": list(status.dropped_scopes),
        "last_failures": [
            {
                "at": to_rfc3339(failure.last_at),
                "reason": failure.reason,
                "correlation_id": failure.correlation_id,
            }
            for failure in status.last_failures
        ],
        "backchannel": _deliveries_document(status.backchannel),
    }


def _deliveries_document(found: LogoutDeliveries | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "pending": found.pending,
        "delivered": found.delivered,
        "failed": found.failed,
        "oldest_pending_at": to_rfc3339_or_none(found.oldest_pending_at),
        "delivered_at": to_rfc3339_or_none(found.delivered_at),
        "failed_at": to_rfc3339_or_none(found.failed_at),
        "last_error": found.last_error,
        "fault": found.fault,
    }
