"""The delivery of logout tokens by the worker (OpenID Connect Back-Channel Logout 1.0 §2.5)."""

from urllib.parse import urlencode
from uuid import UUID

from authserve.clients.configuration import find_backchannel_fault
from authserve.clients.registry import find_client
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.breakers import Breaker, BreakerOpenError
from authserve.core.clock import now
from authserve.core.container import Slot
from authserve.core.events import AuditAction, Outcome
from authserve.core.outbound import (
    OutboundClient,
    OutboundError,
    OutboundLimits,
    OutboundRequest,
)
from authserve.core.outbound_hosts import OutboundHosts
from authserve.database.emit import emit
from authserve.http.json_body import FORM_TYPE
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.oidc.logout_deliveries import note_delivered, note_failed
from authserve.oidc.logout_tokens import BACKCHANNEL_LOGOUT, issue_logout_token
from authserve.oidc.tokens import get_identity_key
from authserve.outbox.delivery import MAX_ERROR_LENGTH, ClaimedMessage
from authserve.outbox.errors import DeliveryError, DroppedError
from authserve.outbox.policy import MessageState
from authserve.outbox.worker import Handler
from authserve.settings.model import SETTINGS
from authserve.users.accounts import ref_of
from authserve.users.lookup import find_user

LIMITS = OutboundLimits(total_secs=5.0, max_bytes=65_536)
"""Limits of one call (design). The body of the answer has no meaning."""

DELIVERED = (200, 204)
"""Statuses of success; frameworks turn an empty 200 into 204 (§2.8)."""

REFUSED = 400
"""The status of an app that has understood the token and does not want it (§2.8)."""

BREAKER_FAILURES = 3
BREAKER_RESET_SECS = 60.0
"""After this many calls in a row without an answer, a client is not called for this time (chosen).
So an app that is down delays the worker's other messages for a twelfth of the time at most."""


class LogoutSender:
    """A sender of logout tokens with a circuit breaker for each client.

    Args:
        hosts: private hosts that may be called.
    """

    def __init__(self, hosts: OutboundHosts) -> None:
        self._client = OutboundClient(hosts=hosts)
        self._breakers: dict[str, Breaker] = {}

    def send(self, client_id: str, uri: str, token: str) -> None:
        """Send a token.

        Raises:
            DeliveryError: the app did not accept it; final if the app refused it with `REFUSED`.
        """
        request = OutboundRequest(
            url=uri,
            method="POST",
            headers={"Content-Type": FORM_TYPE},
            body=urlencode({"logout_token": token}).encode(),
        )
        breaker = self._breakers.get(client_id) or self._add_breaker(client_id)
        try:
            status = breaker.call(lambda: self._client.send(request, LIMITS).status)
        except BreakerOpenError as error:
            raise DeliveryError("the app did not answer just now") from error
        except OutboundError as error:
            raise DeliveryError(f"the app cannot be reached: {error.reason}") from error
        if status not in DELIVERED:
            raise DeliveryError(f"the app answered {status}", is_final=status == REFUSED)

    def _add_breaker(self, client_id: str) -> Breaker:
        breaker = Breaker(
            f"logout:{client_id}", failures=BREAKER_FAILURES, reset_secs=BREAKER_RESET_SECS
        )
        return self._breakers.setdefault(client_id, breaker)


LOGOUT_SENDER = Slot[LogoutSender]("logout_sender")


def deliver_logout_token(message: ClaimedMessage) -> None:
    """Send the token of a message to the address that its client has now.

    Raises:
        DroppedError: the client takes no logout tokens any more.
        DeliveryError: the app did not accept it, or it cannot be sent now.
    """
    settings, client_id = SETTINGS.get(), str(message.payload["client_id"])
    client = find_client(client_id)
    configuration = client.configuration if client is not None else None
    uri = configuration.backchannel_logout_uri if configuration is not None else None
    if configuration is None or uri is None or not configuration.enabled:
        raise DroppedError("the app takes no logout tokens any more")
    fault = find_backchannel_fault(configuration, uri, settings)
    if fault is not None:
        # OUTBOUND_HOSTS has changed since the client was registered.
        raise DeliveryError(f"backchannel_logout_uri: {fault}")
    try:
        key = get_identity_key(configuration)
    except SigningKeyUnavailableError as error:
        raise DeliveryError("no signing key opens; see the log") from error
    token = issue_logout_token(
        message.payload, token_id=message.id, issuer=settings.public_url, key=key, now=now()
    )
    LOGOUT_SENDER.get().send(client_id, uri, token)


def note_outcome(message: ClaimedMessage, state: MessageState, error: str | None) -> None:
    """Record in the open transaction that a token was delivered or given up."""
    client_id = str(message.payload["client_id"])
    if state is MessageState.SENT:
        note_delivered(client_id, now=now())
        _emit(AuditAction.LOGOUT_DELIVERED, message, outcome=Outcome.SUCCESS)
    else:
        reason = (error or "")[:MAX_ERROR_LENGTH]
        note_failed(client_id, reason, now=now())
        _emit(AuditAction.LOGOUT_FAILED, message, outcome=Outcome.FAILURE, reason=reason)


def _emit(action: AuditAction, message: ClaimedMessage, *, outcome: Outcome, **more: str) -> None:
    payload, user = message.payload, find_user(UUID(message.payload["sub"]))
    details = {"client_id": payload["client_id"], "message_id": str(message.id), **more}
    if "sid" in payload:
        details["session_id"] = payload["sid"]
    emit(
        action,
        outcome=outcome,
        actor=VISITOR,
        # A deleted account has no row any more.
        subject=ref_of(user) if user is not None else None,
        request=RequestInfo(correlation_id=message.correlation_id),
        details=details,
    )


HANDLERS = {
    BACKCHANNEL_LOGOUT: Handler(
        deliver_logout_token, is_ready=lambda: True, on_finished=note_outcome
    )
}
"""The worker's handlers by kind of message."""
