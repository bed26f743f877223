"""Recovery codes: their form, what may be typed, and that each works once."""

import re

import pytest
from flask import Flask

from authserve.core.actor import UserRef
from authserve.core.clock import now
from authserve.database.transactions import read_all, transaction
from authserve.mfa.assurance import ProofFailure
from authserve.mfa.models import RecoveryCode
from authserve.mfa.recovery_codes import (
    CheckedRecoveryCode,
    CodeSet,
    check_recovery_code,
    find_code_set,
    make_code,
    normalize_code,
    replace_codes,
    spend_recovery_code,
)
from tests.factories import make_user
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases

CODE = "7Q0D-1F9K-ZZ01-ABCD-EFGH-JKMN"


def make_codes(user: UserRef) -> tuple[str, ...]:
    with transaction():
        return replace_codes(user.id, now=now())


def is_spent(user: UserRef, code: str) -> bool:
    """Check a code and spend it, as a sign-in does."""
    checked = check_recovery_code(user.id, code)
    if not isinstance(checked, CheckedRecoveryCode):
        return False
    with transaction():
        return spend_recovery_code(checked, now=now())


def test_a_code_is_six_groups_of_crockford_s_letters() -> None:
    codes = {make_code() for _ in range(100)}
    assert len(codes) == 100
    group = "[0-9A-HJKMNP-TV-Z]{4}"
    assert all(re.fullmatch(rf"{group}(-{group}){{5}}", code) for code in codes)
    letters = {letter for code in codes for letter in code}
    assert len(letters) == 33, "all 32 letters occur, and the dash"


@pytest.mark.parametrize(
    "typed",
    [
        CODE,
        CODE.lower(),
        CODE.replace("-", ""),
        CODE.replace("-", " "),
        CODE.replace("-", "\u2013"),
        f"  {CODE}\u00a0",
        CODE.replace("0", "O").replace("1", "I"),
        CODE.replace("0", "o").replace("1", "l"),
        CODE.replace("1", "L"),
        CODE.replace("1", "i"),
    ],
)
def test_a_code_may_be_typed_as(typed: str) -> None:
    assert normalize_code(typed) == CODE.replace("-", "")


@pytest.mark.parametrize(
    "typed",
    ["", CODE[:-1], CODE + "0", "U" + CODE[1:], "\u017f" + CODE[1:], CODE.replace("-", "_"), "é"],
)
def test_no_code_looks_like(typed: str) -> None:
    assert normalize_code(typed) is None


@both_databases
def test_a_set_has_ten_codes_that_work_once(context: None) -> None:
    alice, bob = make_user("alice"), make_user("bob")
    assert find_code_set(alice.id) == CodeSet(0, None)
    before = now()
    codes = make_codes(alice)
    assert len(set(codes)) == 10
    created_at = find_code_set(alice.id).created_at
    assert created_at is not None
    assert before <= created_at <= now()
    assert not is_spent(bob, codes[0]), "it is Alice's"
    assert is_spent(alice, codes[0].lower())
    assert not is_spent(alice, codes[0])
    assert check_recovery_code(alice.id, "nonsense") is ProofFailure.WRONG_RECOVERY_CODE
    assert find_code_set(alice.id).left == 9
    assert all(is_spent(alice, code) for code in codes[1:])
    assert find_code_set(alice.id) == CodeSet(0, created_at)


def test_a_new_set_kills_the_former_one(context: None) -> None:
    alice = make_user("alice")
    former = make_codes(alice)
    checked = check_recovery_code(alice.id, former[0])
    assert isinstance(checked, CheckedRecoveryCode)
    newer = make_codes(alice)
    with transaction():
        assert not spend_recovery_code(checked, now=now()), "checked before, spent after"
    assert not is_spent(alice, former[1])
    assert is_spent(alice, newer[0])


def test_the_database_does_not_hold_the_codes(context: None) -> None:
    alice = make_user("alice")
    codes = make_codes(alice)
    stored = b"".join(row.digest for row in read_all(RecoveryCode.__table__.select()))
    assert len(stored) == 10 * 32
    assert not any(code[:4].encode() in stored for code in codes)


@both_databases
def test_twenty_callers_spend_one_code_once(app: Flask) -> None:
    with app.app_context():
        alice = make_user("alice")
        code = make_codes(alice)[0]
        checked = check_recovery_code(alice.id, code)
    assert isinstance(checked, CheckedRecoveryCode)

    def spend() -> bool:
        with app.app_context(), transaction():
            return spend_recovery_code(checked, now=now())

    assert sorted(all_at_once([spend] * 20)) == [False] * 19 + [True]
