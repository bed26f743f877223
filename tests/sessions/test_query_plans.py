"""SQLite finds the sessions of one user by that user, however many others live."""

from collections.abc import Callable

import pytest
from flask import Flask

from authserve.auth.start_session import start_session
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import db, transaction
from authserve.sessions.policy import MAX_SESSIONS_PER_USER, RevokeReason
from authserve.sessions.revoke import end_sessions
from authserve.settings.model import SETTINGS
from authserve.users.accounts import get_user_by_reference, ref_of
from tests.factories import make_user
from tests.support.databases import executed
from tests.support.marks import both_databases, on_sqlite

pytestmark = both_databases


def sign_in() -> None:
    user = ref_of(get_user_by_reference("alice"))
    with transaction():
        start_session(user, amr=["pwd"], request=RequestInfo(), settings=SETTINGS.get(), now=now())


def sign_out() -> None:
    user = ref_of(get_user_by_reference("alice"))
    end_sessions(user, RevokeReason.LOGOUT_ALL, actor=VISITOR, request=RequestInfo())


def sign_in_too_often() -> None:
    for _ in range(MAX_SESSIONS_PER_USER + 1):
        sign_in()


@on_sqlite
@pytest.mark.parametrize(
    ("use_case", "kind"),
    [
        (sign_in, "INSERT INTO sessions"),
        (sign_in_too_often, "UPDATE sessions"),
        (sign_out, "UPDATE sessions"),
    ],
)
def test_ending_sessions_reads_those_of_the_user(
    app: Flask, use_case: Callable[[], None], kind: str
) -> None:
    with app.app_context():
        make_user("alice")
        with executed(db.engine) as sent:
            use_case()
        statements = [(sql, values) for sql, values in sent if sql.startswith(kind)]
        assert statements
        with db.engine.connect() as connection:
            for sql, values in statements:
                rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()
                plan = "\n".join(row[3] for row in rows)
                assert "ix_sessions_revoked_at" not in plan
                assert "ix_sessions_user_id_created_at (user_id=?" in plan
                assert "SCAN sessions" not in plan
