"""The users of fixtures are copies of one that was registered and signed in by HTTP."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
import time_machine
from flask import Flask

from authserve.app import create_app
from authserve.database.transactions import db
from tests.conftest import fresh_database, make_settings
from tests.support import copied_callers
from tests.support.clients import Caller
from tests.support.copied_callers import MAX_AGE, Rows, copied_caller, read_all_rows
from tests.support.marks import both_databases

pytestmark = both_databases


@pytest.fixture(autouse=True)
def _no_originals(monkeypatch: pytest.MonkeyPatch) -> None:
    """No other test has registered a user."""
    monkeypatch.setattr(copied_callers, "_originals", {})


@pytest.fixture
def another_app(
    request: pytest.FixtureRequest, database_kind: str, tmp_path: Path
) -> Iterator[Callable[[], Flask]]:
    """Make applications, each with a database of its own."""
    numbers = count()
    with ExitStack() as ends:

        def make() -> Flask:
            folder = tmp_path / str(next(numbers))
            folder.mkdir()
            url = ends.enter_context(fresh_database(request, database_kind, folder))
            app = create_app(make_settings(url, folder))
            ends.callback(dispose, app)
            return app

        yield make


def dispose(app: Flask) -> None:
    """Close the connections of an application."""
    with app.app_context():
        db.engine.dispose()


def shape(rows: Rows) -> dict[str, list[set[str]]]:
    """Return which columns of each table are filled, by row."""
    return {
        table.name: [{name for name, value in row.items() if value is not None} for row in found]
        for table, found in rows.items()
    }


def test_a_copy_has_the_rows_and_tokens_of_a_registered_user(
    another_app: Callable[[], Flask], clock: time_machine.Traveller
) -> None:
    apps = [another_app() for _ in range(3)]
    registered, original, copy = (copied_caller(app, "zoe", roles=("admin",)) for app in apps)
    rows = [read_all_rows(app) for app in apps]

    assert (copy.user, copy.tokens) == (original.user, original.tokens)
    assert rows[2] == rows[1]
    assert shape(rows[2]) == shape(rows[0])
    assert registered.tokens["session_id"] != copy.tokens["session_id"]


def test_a_copy_calls_refreshes_and_signs_in(
    another_app: Callable[[], Flask], clock: time_machine.Traveller
) -> None:
    def can_do_all(caller: Caller) -> bool:
        login = {"identifier": "zoe", "password": caller.password}
        refresh = {"refresh_token": caller.tokens["refresh_token"]}
        calls = (
            caller.get("/api/v1/users/me"),
            caller.get("/api/v1/users"),
            caller.client.post("/api/v1/auth/refresh", json=refresh),
            caller.client.post("/api/v1/auth/login", json=login),
        )
        return [call.status_code for call in calls] == [200] * len(calls)

    for _ in range(3):
        assert can_do_all(copied_caller(another_app(), "zoe", roles=("admin",)))


def test_the_original_is_registered_anew_before_its_times_are_old(
    another_app: Callable[[], Flask], clock: time_machine.Traveller
) -> None:
    first, original, copy = (copied_caller(another_app(), "zoe") for _ in range(3))
    clock.shift(MAX_AGE)
    renewed = copied_caller(another_app(), "zoe")

    assert first.id != original.id
    assert original.id == copy.id
    assert copy.id != renewed.id


def test_users_of_one_database_are_copied_one_after_another(
    another_app: Callable[[], Flask], clock: time_machine.Traveller
) -> None:
    for _ in range(4):
        app = another_app()
        zoe, yan = (copied_caller(app, name) for name in ("zoe", "yan"))

        assert zoe.get("/api/v1/users/me").get_json()["username"] == "zoe"
        assert yan.get("/api/v1/users/me").get_json()["username"] == "yan"


def test_new_tokens_of_a_user_do_not_reach_the_copies(
    another_app: Callable[[], Flask], clock: time_machine.Traveller
) -> None:
    _, original, copy = (copied_caller(another_app(), "zoe") for _ in range(3))
    issued = dict(original.tokens)
    for caller in (original, copy):
        caller.tokens["refresh_token"] = "a later one"

    assert copied_caller(another_app(), "zoe").tokens == issued
