"""The life of signing keys, over several applications on one database."""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from flask import Flask
from sqlalchemy import event, select, text, update

from authserve.app import create_app
from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import db, transaction
from authserve.keys import store
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.models import SigningKey
from authserve.keys.policy import CACHE_TTL, ROTATION_PERIOD, KeyState, RotationCause
from authserve.keys.rotation import list_keys, rewrap, rotate
from authserve.keys.store import KEY_STORE
from tests.conftest import make_settings
from tests.support.clients import login, register_caller, sign_in
from tests.support.crowd import (
    DEADLINE_SECS,
    all_at_once,
    persistently,
    wait_until_a_connection_waits_for_a_lock,
)
from tests.support.keys import is_accepted, jwks, kid_of, kids, make_next_key
from tests.support.marks import both_databases
from tests.support.problems import assert_problem
from tests.support.rows import count_sessions, live_session_row

CROWD = 20
FEW = 6

LEAD = timedelta(seconds=332)
"""The time for which a new key is published before it signs."""

TICK = timedelta(microseconds=1)

OTHER_SECRET = "another secret for tests alone, 98765"


def states(app: Flask) -> list[tuple[str, KeyState]]:
    with app.app_context():
        return [(key.kid, key.state) for key in list_keys()]


# The first key


@both_databases
def test_twenty_concurrent_starts_make_one_signing_key(make_app: Callable[..., Flask]) -> None:
    apps = [make_app() for _ in range(CROWD)]
    seen = all_at_once([lambda app=app: kids(app) for app in apps])
    assert len({tuple(found) for found in seen}) == 1
    assert [state for _, state in states(apps[0])] == [KeyState.ACTIVE]


def test_the_first_key_signs_at_once_also_where_the_clock_is_behind(
    make_timed_app: Callable[..., Flask], clock: time_machine.Traveller
) -> None:
    ahead, behind = make_timed_app(), make_timed_app()
    (kid,) = kids(ahead)
    clock.shift(-timedelta(seconds=30))
    register_caller(behind, "alice")
    assert kids(behind) == [kid]


def test_a_process_can_read_the_keys_before_the_first_request(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    with app.app_context():
        KEY_STORE.get().warm_up()
        monkeypatch.setattr(store, "read_keys", lambda: pytest.fail("they are there"))
        assert len(KEY_STORE.get().jwks()) == 1


def test_a_process_starts_without_them_too(tmp_path: Path) -> None:
    app = create_app(make_settings(f"sqlite:///{tmp_path}/no/such/folder.db", tmp_path))
    with app.app_context():
        KEY_STORE.get().warm_up()


# Rotation


@both_databases
def test_rotation_publishes_first_and_signs_later(
    timed_app: Flask, clock: time_machine.Traveller
) -> None:
    alice = register_caller(timed_app, "alice")
    old = kid_of(alice.tokens["access_token"])
    new = make_next_key(timed_app)

    def signs() -> str:
        again = sign_in(timed_app.test_client(), "alice", user=alice.user)
        assert is_accepted(timed_app, again)
        return kid_of(again.tokens["access_token"])

    clock.shift(CACHE_TTL)
    assert kids(timed_app) == [old, new]
    assert signs() == old
    assert states(timed_app) == [(new, KeyState.PUBLISHED), (old, KeyState.ACTIVE)]

    clock.shift(LEAD - CACHE_TTL - TICK)
    assert signs() == old
    clock.shift(TICK)
    assert signs() == new
    assert states(timed_app) == [(new, KeyState.ACTIVE), (old, KeyState.RETIRING)]


def test_the_old_key_stays_until_its_last_token_has_expired(
    timed_app: Flask, clock: time_machine.Traveller
) -> None:
    alice = register_caller(timed_app, "alice")
    old = kid_of(alice.tokens["access_token"])
    new = make_next_key(timed_app)
    clock.shift(LEAD - timedelta(seconds=1))
    last = sign_in(timed_app.test_client(), "alice", user=alice.user)
    assert kid_of(last.tokens["access_token"]) == old

    clock.shift(timedelta(seconds=last.tokens["expires_in"] + 29))
    assert is_accepted(timed_app, last)
    clock.shift(1)
    assert not is_accepted(timed_app, last)
    assert kids(timed_app) == [old, new]

    with timed_app.app_context():
        retire_at = list_keys()[-1].retire_at
    assert retire_at is not None
    clock.move_to(retire_at - TICK)
    assert kids(timed_app) == [old, new]
    clock.shift(TICK)
    assert kids(timed_app) == [new]
    assert states(timed_app)[-1] == (old, KeyState.RETIRED)


def test_a_cached_key_is_refused_from_its_retirement_on(
    timed_app: Flask, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The copy that holds it is not old yet, and the keys are not read again."""
    (old,) = kids(timed_app)
    make_next_key(timed_app)
    with timed_app.app_context():
        retire_at = list_keys()[-1].retire_at
        assert retire_at is not None
        clock.move_to(retire_at - TICK)
        assert KEY_STORE.get().find_public_key(old, now=now()) is not None
        monkeypatch.setattr(store, "read_keys", lambda: pytest.fail("the copy is not old"))
        clock.shift(TICK)
        assert KEY_STORE.get().find_public_key(old, now=now()) is None


def test_a_second_order_makes_no_second_key_while_the_first_waits(
    timed_app: Flask, clock: time_machine.Traveller
) -> None:
    kids(timed_app)
    new = make_next_key(timed_app)
    clock.shift(LEAD - TICK)
    with timed_app.app_context():
        again = rotate(RotationCause.ORDER, request=RequestInfo())
    assert (again.kid, again.is_new) == (new, False)
    clock.shift(TICK)
    assert make_next_key(timed_app) != new


@both_databases
def test_concurrent_orders_make_one_key(make_app: Callable[..., Flask]) -> None:
    apps = [make_app() for _ in range(FEW)]
    (old,) = kids(apps[0])

    def order(app: Flask) -> tuple[str, bool]:
        with app.app_context():
            newest = persistently(lambda: rotate(RotationCause.ORDER, request=RequestInfo()))
        return newest.kid, newest.is_new

    ordered = all_at_once([lambda app=app: order(app) for app in apps])
    assert len({kid for kid, _ in ordered}) == 1
    assert sum(is_new for _, is_new in ordered) == 1
    assert [kid for kid, _ in states(apps[0])] == [ordered[0][0], old]


def test_a_key_rotates_by_itself_after_90_days(
    timed_app: Flask, clock: time_machine.Traveller
) -> None:
    (old,) = kids(timed_app)
    with timed_app.app_context():
        active_from = list_keys()[0].active_from
    clock.move_to(active_from + ROTATION_PERIOD - TICK)
    assert kids(timed_app) == [old]
    clock.shift(CACHE_TTL)
    first, new = kids(timed_app)
    assert first == old
    assert states(timed_app) == [(new, KeyState.PUBLISHED), (old, KeyState.ACTIVE)]
    clock.shift(ROTATION_PERIOD)
    assert states(timed_app) == [(new, KeyState.ACTIVE), (old, KeyState.RETIRED)]


@both_databases
def test_twenty_concurrent_applications_rotate_once_after_90_days(
    make_timed_app: Callable[..., Flask], clock: time_machine.Traveller
) -> None:
    apps = [make_timed_app() for _ in range(CROWD)]
    (old,) = kids(apps[0])
    assert all(kids(app) == [old] for app in apps)
    clock.shift(ROTATION_PERIOD)
    all_at_once([lambda app=app: kids(app) for app in apps])
    (new, state), (oldest, _) = states(apps[0])
    assert (state, oldest) == (KeyState.PUBLISHED, old)
    clock.shift(CACHE_TTL)
    assert all(kids(app) == [old, new] for app in apps)


# Emergency


@both_databases
def test_an_emergency_ends_every_access_token_and_no_session(timed_app: Flask) -> None:
    alice = register_caller(timed_app, "alice")
    make_next_key(timed_app, cause=RotationCause.ORDER)
    new = make_next_key(timed_app, cause=RotationCause.EMERGENCY)
    with timed_app.app_context():
        KEY_STORE.get().find_public_key("unknown, so the keys are read afresh", now=now())
    assert kids(timed_app) == [new]
    response = alice.get("/api/v1/users/me")
    assert (response.status_code, response.get_json()["code"]) == (401, "invalid_token")

    body = {"refresh_token": alice.tokens["refresh_token"]}
    alice.tokens = alice.client.post("/api/v1/auth/refresh", json=body).get_json()
    assert kid_of(alice.tokens["access_token"]) == new
    assert is_accepted(timed_app, alice)


def test_other_applications_follow_an_emergency_when_their_copy_is_old(
    make_timed_app: Callable[..., Flask], clock: time_machine.Traveller
) -> None:
    app, other = make_timed_app(), make_timed_app()
    alice = register_caller(app, "alice")
    assert is_accepted(other, alice)
    make_next_key(app, cause=RotationCause.EMERGENCY)
    clock.shift(CACHE_TTL - TICK)
    assert is_accepted(other, alice)
    clock.shift(TICK)
    assert not is_accepted(other, alice)


def test_other_applications_take_a_new_keys_token_before_their_copy_is_old(
    make_timed_app: Callable[..., Flask], clock: time_machine.Traveller
) -> None:
    app, other = make_timed_app(), make_timed_app()
    alice = register_caller(app, "alice")
    assert is_accepted(other, alice)
    make_next_key(app, cause=RotationCause.EMERGENCY)
    clock.shift(CACHE_TTL)
    again = sign_in(app.test_client(), "alice", user=alice.user)
    clock.shift(-CACHE_TTL)
    assert is_accepted(other, again)


@both_databases
def test_an_emergency_that_loses_to_an_order_is_not_lost(make_app: Callable[..., Flask]) -> None:
    """It has read the newest key and waits; the order that it waits for commits first."""
    ordering, urgent = make_app(), make_app()
    (old,) = kids(ordering)

    def call() -> str:
        with urgent.app_context():
            return persistently(lambda: rotate(RotationCause.EMERGENCY, request=RequestInfo())).kid

    kept: list[str] = []
    caller = threading.Thread(target=lambda: kept.append(call()))
    with ordering.app_context():
        with transaction() as session:
            ordered = rotate(RotationCause.ORDER, request=RequestInfo()).kid
            caller.start()
            if session.get_bind().dialect.name == "postgresql":
                wait_until_a_connection_waits_for_a_lock()
        caller.join(DEADLINE_SECS)
    assert states(urgent) == [
        (kept[0], KeyState.ACTIVE),
        (ordered, KeyState.RETIRED),
        (old, KeyState.RETIRED),
    ]


@both_databases
def test_of_concurrent_orders_and_emergencies_no_emergency_is_lost(
    make_app: Callable[..., Flask],
) -> None:
    apps = [make_app() for _ in range(FEW)]
    (old,) = kids(apps[0])
    causes = [RotationCause.ORDER, RotationCause.EMERGENCY] * (FEW // 2)

    def call(app: Flask, cause: RotationCause) -> str:
        with app.app_context():
            return persistently(lambda: rotate(cause, request=RequestInfo())).kid

    calls = [lambda a=app, c=cause: call(a, c) for app, cause in zip(apps, causes, strict=True)]
    urgent = [
        kid for kid, cause in zip(all_at_once(calls), causes, strict=True) if cause != "order"
    ]

    found = states(apps[0])
    order = [kid for kid, _ in found]
    last_urgent = min(order.index(kid) for kid in urgent)
    assert found[last_urgent] == (order[last_urgent], KeyState.ACTIVE)
    assert {state for _, state in found[last_urgent + 1 :]} == {KeyState.RETIRED}
    assert order[-1] == old


# A copy of the keys


@contextmanager
def counted_reads(app: Flask) -> Iterator[list[str]]:
    """The statements that read the keys meanwhile."""
    statements: list[str] = []

    def note(_conn: object, _cursor: object, statement: str, *_: object) -> None:
        if "FROM signing_keys" in statement:
            statements.append(statement)

    with app.app_context():
        engine = db.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        event.remove(engine, "before_cursor_execute", note)


def test_a_copy_is_read_again_when_it_is_old(
    timed_app: Flask, clock: time_machine.Traveller
) -> None:
    kids(timed_app)
    with counted_reads(timed_app) as reads:
        kids(timed_app)
        clock.shift(CACHE_TTL - TICK)
        kids(timed_app)
        assert len(reads) == 0
        clock.shift(TICK)
        kids(timed_app)
        kids(timed_app)
        assert len(reads) == 1


def test_a_new_key_signs_while_the_keys_are_read(
    timed_app: Flask, clock: time_machine.Traveller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One thread has the new key decrypted while another drops those that are gone."""
    is_signing, signed, read = threading.Lock(), list[str](), store.read_keys

    class Kid(str):
        """An identifier at each use of which the other thread has a turn."""

        def __hash__(self) -> int:
            if is_signing.acquire(blocking=False):
                signed.append(str(KEY_STORE.get().signing_key().kid))
                is_signing.release()
            return super().__hash__()

    def read_with_turns(**options: Any) -> list[Any]:
        return [replace(key, kid=Kid(key.kid)) for key in read(**options)]

    monkeypatch.setattr(store, "read_keys", read_with_turns)
    with timed_app.app_context():
        with is_signing:
            old = KEY_STORE.get().signing_key().kid
        new = make_next_key(timed_app)
        clock.shift(LEAD)
        assert KEY_STORE.get().find_public_key(new, now=now()) is not None
    assert list(dict.fromkeys(signed)) == [old, new]


def test_an_unknown_kid_is_looked_up_afresh_once(timed_app: Flask) -> None:
    kids(timed_app)
    with timed_app.app_context(), counted_reads(timed_app) as reads:
        assert KEY_STORE.get().find_public_key("unknown", now=now()) is None
    assert len(reads) == 1


@both_databases
def test_a_copy_keeps_serving_while_the_database_does_not(
    timed_app: Flask, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    before = jwks(timed_app)
    rename(timed_app, "signing_keys", "away")
    clock.shift(CACHE_TTL)
    assert jwks(timed_app) == before
    assert [record.getMessage() for record in caplog.records].count(
        "signing keys not refreshed"
    ) == 1
    rename(timed_app, "away", "signing_keys")
    new = make_next_key(timed_app)
    assert jwks(timed_app) == before
    clock.shift(CACHE_TTL)
    assert new in kids(timed_app)


def rename(app: Flask, table: str, name: str) -> None:
    with app.app_context(), transaction() as session:
        session.execute(text(f"ALTER TABLE {table} RENAME TO {name}"))


@both_databases
def test_without_any_copy_it_is_unavailable_while_the_database_is(timed_app: Flask) -> None:
    rename(timed_app, "signing_keys", "away")
    response = timed_app.test_client().get("/.well-known/jwks.json")
    assert response.status_code == 503
    rename(timed_app, "away", "signing_keys")
    assert len(kids(timed_app)) == 1


# Secrets


def test_with_a_wrong_secret_no_process_signs_and_every_process_verifies(
    make_app: Callable[..., Flask], caplog: pytest.LogCaptureFixture
) -> None:
    app, wrong = make_app(), make_app(secret_key=OTHER_SECRET)
    alice = register_caller(app, "alice")
    refused = login(wrong.test_client(), "alice")
    assert (refused.status_code, refused.get_json()["code"]) == (503, "service_unavailable")
    assert "SECRET_KEY" not in refused.get_data(as_text=True)
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.kid == kid_of(alice.tokens["access_token"])
    for remedy in ("SECRET_KEY_FALLBACKS", "flask keys rotate --emergency"):
        assert remedy in record.getMessage()
    assert jwks(wrong) == jwks(app)
    assert is_accepted(wrong, alice)


def test_if_no_token_can_be_signed_no_session_starts_and_no_refresh_token_is_spent(
    make_app: Callable[..., Flask],
) -> None:
    app, other = make_app(), make_app()
    alice = register_caller(app, "alice")
    before = live_session_row(app, alice.tokens["session_id"]), count_sessions(app)
    with app.app_context(), transaction() as session:
        session.execute(update(SigningKey).values(private_sealed=b"damaged"))
    presented = {"refresh_token": alice.tokens["refresh_token"]}
    for refused in (
        other.test_client().post("/api/v1/auth/refresh", json=presented),
        login(other.test_client(), "alice"),
    ):
        assert_problem(refused, 503, "service_unavailable")
    assert (live_session_row(app, alice.tokens["session_id"]), count_sessions(app)) == before


def test_after_a_lost_secret_an_emergency_lets_people_in_again(
    make_app: Callable[..., Flask],
) -> None:
    app, wrong = make_app(), make_app(secret_key=OTHER_SECRET)
    register_caller(app, "alice")
    assert login(wrong.test_client(), "alice").status_code == 503
    make_next_key(wrong, cause=RotationCause.EMERGENCY)
    with wrong.app_context():
        KEY_STORE.get().find_public_key("unknown, so the keys are read afresh", now=now())
    assert login(wrong.test_client(), "alice").status_code == 200


def test_a_former_secret_opens_keys_as_a_fallback_until_they_are_sealed_anew(
    make_app: Callable[..., Flask],
) -> None:
    app = make_app()
    alice = register_caller(app, "alice")
    former = app.config["SECRET_KEY"]

    both = make_app(secret_key=OTHER_SECRET, secret_key_fallbacks=(former,))
    assert login(both.test_client(), "alice").status_code == 200
    assert login(make_app(secret_key=OTHER_SECRET).test_client(), "alice").status_code == 503

    with both.app_context():
        assert rewrap() == 1
    alone = make_app(secret_key=OTHER_SECRET)
    again = sign_in(alone.test_client(), "alice", user=alice.user)
    assert kid_of(again.tokens["access_token"]) == kid_of(alice.tokens["access_token"])
    assert is_accepted(app, again)


@both_databases
def test_sealing_anew_changes_nothing_when_one_key_does_not_open(
    make_app: Callable[..., Flask],
) -> None:
    app, wrong = make_app(), make_app(secret_key=OTHER_SECRET)
    kids(app)
    with wrong.app_context():
        # This one can be decrypted, and would be the second.
        rotate(RotationCause.ORDER, request=RequestInfo())
        before = sealed()
        with pytest.raises(SigningKeyUnavailableError):
            rewrap()
        assert sealed() == before


def sealed() -> dict[str, bytes]:
    with transaction() as session:
        rows = session.scalars(select(SigningKey).order_by(SigningKey.serial))
        return {row.kid: row.private_sealed for row in rows}


def test_a_retired_key_that_does_not_open_does_not_stop_sealing_anew(
    make_app: Callable[..., Flask],
) -> None:
    app, wrong = make_app(), make_app(secret_key=OTHER_SECRET)
    kids(app)
    make_next_key(wrong, cause=RotationCause.EMERGENCY)
    with wrong.app_context():
        assert rewrap() == 1


def test_a_sealed_key_is_bound_to_its_name(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    kids(app)
    make_next_key(app, cause=RotationCause.EMERGENCY)
    with app.app_context():
        first, second = sealed()
        with transaction() as session:
            session.execute(
                update(SigningKey)
                .where(SigningKey.kid == second)
                .values(private_sealed=sealed()[first])
            )
        with pytest.raises(SigningKeyUnavailableError):
            rewrap()


def test_no_private_key_is_stored_in_the_clear(make_app: Callable[..., Flask]) -> None:
    app = make_app()
    kids(app)
    with app.app_context():
        (stored,) = sealed().values()
        private = KEY_STORE.get().signing_key().private_key
    assert isinstance(private, EllipticCurvePrivateKey)
    secret = private.private_numbers().private_value.to_bytes(32, "big")
    assert secret not in stored


def test_a_clock_far_behind_is_logged(
    timed_app: Flask, clock: time_machine.Traveller, caplog: pytest.LogCaptureFixture
) -> None:
    kids(timed_app)
    moment = now()
    clock.move_to(moment - timedelta(hours=1))
    with timed_app.app_context(), pytest.raises(SigningKeyUnavailableError):
        KEY_STORE.get().signing_key()
    assert "clock" in caplog.records[-1].getMessage()
