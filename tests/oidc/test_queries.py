"""The statements behind apps' tokens, beyond what their callers have checked before."""

from uuid import UUID

import pytest
from sqlalchemy import update

from authserve.clients.models import Client
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.oidc.queries import find_grant, find_hinted_session
from tests.oidc.conftest import App, claims_of
from tests.support.clients import Caller


@pytest.fixture
def session_id(wiki: App) -> UUID:
    """The session of an app."""
    return UUID(claims_of(wiki.sign_in()["id_token"])["sid"])


def test_a_hint_names_a_session_of_an_app_and_of_its_user(
    wiki: App, session_id: UUID, bob: Caller
) -> None:
    with wiki.app.app_context():
        found = find_hinted_session(session_id, wiki.user_id)
        assert found is not None
        assert (found.user.id, found.parent_id) == (wiki.user_id, wiki.browser_id)
        assert find_hinted_session(session_id, bob.id) is None
        assert find_hinted_session(wiki.browser_id, wiki.user_id) is None


def test_a_deleted_client_has_no_grant(wiki: App, session_id: UUID) -> None:
    with wiki.app.app_context():
        assert find_grant(session_id, now=now()) is not None
        with transaction() as session:
            session.execute(update(Client).values(deleted_at=now()))
        assert find_grant(session_id, now=now()) is None
