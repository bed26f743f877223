"""TOTP: the vectors of its RFC, the window, secrets at rest, and steps that are spent once."""

import json
import logging
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID
from xml.etree import ElementTree

import pytest
import time_machine
from flask import Flask
from sqlalchemy import insert

import config
from authserve.core.actor import UserRef
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.database.transactions import db, execute, transaction
from authserve.mfa.assurance import ProofFailure
from authserve.mfa.errors import FactorUnavailableError
from authserve.mfa.totp import (
    STEP,
    TABLE,
    CheckedCode,
    StoredTotp,
    check_code,
    draw_qr_code,
    find_totp,
    make_uri,
    match_step,
    new_secret,
    seal,
    spend_step,
    unseal,
    write_secret,
)
from tests.factories import make_user
from tests.support.crowd import all_at_once
from tests.support.databases import executed
from tests.support.marks import both_databases, on_postgresql
from tests.support.totp import code_at

VECTORS = json.loads((config.ROOT / "tests/vectors/totp_sha1.json").read_text())
SECRET = bytes.fromhex(VECTORS["secret"])
NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda case: str(case["time"]))
def test_it_has_the_codes_of_the_rfc(case: dict[str, int | str]) -> None:
    moment = datetime.fromtimestamp(int(case["time"]), UTC)
    assert match_step(SECRET, str(case["code"])[2:], now=moment) == case["step"]


@pytest.mark.parametrize(
    ("distance", "is_accepted"),
    [(-2, False), (-1, True), (0, True), (1, True), (2, False)],
)
def test_it_accepts_one_step_to_either_side(distance: int, is_accepted: bool) -> None:
    step = match_step(SECRET, code_at(SECRET, NOON + distance * STEP), now=NOON)
    present = int(NOON.timestamp()) // 30
    assert step == (present + distance if is_accepted else None)


def test_the_window_moves_at_the_border_of_a_step() -> None:
    code = code_at(SECRET, NOON)
    last = NOON + 2 * STEP - timedelta(microseconds=1)
    assert match_step(SECRET, code, now=last)
    assert match_step(SECRET, code, now=NOON + 2 * STEP) is None


def test_a_secret_has_160_random_bits_and_no_padding() -> None:
    first, second = new_secret(), new_secret()
    assert len(first) == 20
    assert first != second
    assert write_secret(SECRET) == "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"


def test_the_uri_names_issuer_and_account() -> None:
    uri = make_uri(SECRET, account="alice+x@example.com", issuer="My Shop & Co")
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc) == ("otpauth", "totp")
    assert unquote(parts.path) == "/My Shop & Co:alice+x@example.com"
    assert "+" not in parts.query, "apps may read it as a plus"
    assert parse_qs(parts.query) == {"secret": [write_secret(SECRET)], "issuer": ["My Shop & Co"]}


def test_the_qr_code_is_one_small_svg_that_runs_and_loads_nothing() -> None:
    drawing = draw_qr_code(make_uri(SECRET, account="alice@example.com", issuer="auth.example.com"))
    assert len(drawing) < 4_000
    names = {element.tag.partition("}")[2] for element in ElementTree.fromstring(drawing).iter()}
    assert names == {"svg", "path"}


def test_a_secret_opens_for_its_own_row_alone(context: None) -> None:
    row = new_id()
    sealed = seal(row, SECRET)
    assert SECRET not in sealed
    assert unseal(row, sealed) == SECRET
    with pytest.raises(FactorUnavailableError):
        unseal(new_id(), sealed)


def test_a_secret_that_no_key_opens_is_no_wrong_code(
    context: None, caplog: pytest.LogCaptureFixture
) -> None:
    stored = StoredTotp(id=new_id(), secret=b"x" * 48, last_step=0, now=NOON)
    with caplog.at_level(logging.ERROR), pytest.raises(FactorUnavailableError):
        check_code(stored, "123456")
    (line,) = caplog.records
    assert line.message == FactorUnavailableError.remedy
    assert vars(line)["factor_id"] == str(stored.id)


def add_totp(user: UserRef, *, is_confirmed: bool = True) -> UUID:
    """A TOTP secret of an account."""
    row, moment = new_id(), now()
    values = {"id": row, "user_id": user.id, "secret": seal(row, SECRET), "created_at": moment}
    times = {"confirmed_at": moment} if is_confirmed else {"expires_at": moment + STEP}
    with transaction():
        execute(insert(TABLE).values(**values, **times))
    return row


@both_databases
def test_a_code_is_accepted_once_and_no_older_one_after_it(context: None) -> None:
    user, moment = make_user("alice"), now()
    add_totp(user)
    found = find_totp(user.id, now=moment)
    assert found is not None
    # The database's clock may pass to the next step while the test runs.
    began = found.now
    newer = check_code(found, code_at(SECRET, began + STEP))
    older = check_code(found, code_at(SECRET, began))
    assert isinstance(newer, CheckedCode)
    assert isinstance(older, CheckedCode)
    with transaction():
        assert spend_step(newer, now=moment)
        assert not spend_step(newer, now=moment)
        assert not spend_step(older, now=moment)
    found = find_totp(user.id, now=moment)
    assert found is not None
    assert found.last_step == newer.step
    assert check_code(found, code_at(SECRET, began)) is ProofFailure.CODE_REUSED
    assert check_code(found, code_at(SECRET, began + STEP)) is ProofFailure.CODE_REUSED
    assert check_code(found, code_at(SECRET, began + 9 * STEP)) is ProofFailure.WRONG_CODE


def test_a_set_up_is_no_factor_yet(context: None) -> None:
    user = make_user("alice")
    row = add_totp(user, is_confirmed=False)
    assert find_totp(user.id, now=now()) is None
    with transaction():
        assert not spend_step(CheckedCode(row, 1), now=now())


def test_it_is_found_by_one_statement_with_the_time(context: None) -> None:
    user = make_user("alice")
    add_totp(user)
    with executed(db.engine) as sent:
        assert find_totp(user.id, now=now())
    assert len(sent) == 1


@both_databases
def test_twenty_callers_spend_one_step_once(app: Flask) -> None:
    with app.app_context():
        factor = add_totp(make_user("alice"))

    def spend() -> bool:
        with app.app_context(), transaction():
            return spend_step(CheckedCode(factor, 7), now=now())

    assert sorted(all_at_once([spend] * 20)) == [False] * 19 + [True]


@on_postgresql
def test_codes_are_compared_with_the_time_of_the_database(context: None) -> None:
    """Another machine's clock may differ by half a minute, which is a step of its own."""
    user = make_user("alice")
    add_totp(user)
    with time_machine.travel(now() + timedelta(seconds=20), tick=True):
        found = find_totp(user.id, now=now())
        assert found is not None
        assert timedelta(seconds=10) < now() - found.now < timedelta(seconds=30)
