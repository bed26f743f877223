"""SQLite finds a user's sessions by the user; a purge reads the table once."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
import time_machine
from flask import Flask

from authserve.auth.start_session import start_session
from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import db, transaction
from authserve.sessions.policy import MAX_SESSIONS_PER_USER, RevokeReason
from authserve.sessions.revoke import PURGE_DELAY, end_sessions, purge_dead_sessions
from authserve.settings.model import SETTINGS
from authserve.users.accounts import ref_of
from authserve.users.credentials import get_credentials
from authserve.users.lookup import get_user_by_reference
from tests.factories import PASSWORD, make_session, make_user
from tests.support.databases import executed
from tests.support.marks import both_databases, on_sqlite

pytestmark = both_databases


def sign_in() -> None:
    user = ref_of(get_user_by_reference("alice"))
    with transaction():
        start_session(
            get_credentials(user.id),
            found=PASSWORD,
            is_known_device=False,
            request=RequestInfo(),
            settings=SETTINGS.get(),
            now=now(),
        )


def sign_out() -> None:
    user = ref_of(get_user_by_reference("alice"))
    end_sessions(user, RevokeReason.LOGOUT_ALL, actor=VISITOR, request=RequestInfo())


def sign_in_too_often() -> None:
    for _ in range(MAX_SESSIONS_PER_USER + 1):
        sign_in()


def plan_of(sql: str, values: Any) -> str:
    with db.engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values).all()
        return "\n".join(row[3] for row in rows)


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
        for sql, values in statements:
            plan = plan_of(sql, values)
            assert "ix_sessions_user_id_created_at (user_id=?" in plan
            assert "SCAN sessions" not in plan


@on_sqlite
def test_each_slice_of_a_purge_begins_after_the_one_before(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserve.sessions.revoke.PURGE_SLICE", 2)
    with app.app_context():
        user = make_user("alice")
        ids = sorted(make_session(user).id for _ in range(5))
        sign_out()
        with time_machine.travel(now() + 2 * PURGE_DELAY), executed(db.engine) as sent:
            assert list(purge_dead_sessions()) == [2, 2, 1]
        reads = [(sql, values) for sql, values in sent if sql.startswith("SELECT")]
        starts = [UUID(int=0), ids[1], ids[3], ids[4]]
        for (sql, values), start in zip(reads, starts, strict=True):
            assert start.hex in values
            plan = plan_of(sql, values)
            assert plan == "SEARCH sessions USING INDEX sqlite_autoindex_sessions_1 (id>?)"
