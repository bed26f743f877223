"""The outcomes of logout tokens that `flask clients status` shows."""

from uuid import UUID

import pytest

from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.database.transactions import transaction
from authserve.oidc.backchannel import note_outcome
from authserve.oidc.logout_deliveries import find_logout_deliveries
from authserve.oidc.logout_tokens import BACKCHANNEL_LOGOUT
from authserve.outbox.delivery import MAX_ERROR_LENGTH, ClaimedMessage
from authserve.outbox.policy import MessageState
from tests.oidc.conftest import App
from tests.support.marks import both_databases
from tests.support.rows import audit_trail


def message_for(app: App) -> ClaimedMessage:
    return ClaimedMessage(
        id=new_id(),
        lease_id=UUID(int=0),
        kind=BACKCHANNEL_LOGOUT,
        topic=None,
        user_id=None,
        payload={"client_id": app.client_id, "sub": str(app.user_id)},
        created_at=now(),
        attempts=1,
    )


@both_databases
@pytest.mark.usefixtures("clock")
def test_a_long_reason_is_cut(wiki: App) -> None:
    with wiki.app.app_context():
        for count in (1, 2):
            with transaction():
                note_outcome(message_for(wiki), MessageState.DEAD, "é" * 500)
            found = find_logout_deliveries(wiki.client_id)
            assert (found.failed, found.failed_at, found.delivered_at) == (count, now(), None)
    assert found.fault == "é" * MAX_ERROR_LENGTH == "é" * 200
    reasons = [event["details"]["reason"] for event in audit_trail(wiki.app, "logout.failed")]
    assert reasons == [found.fault] * 2
