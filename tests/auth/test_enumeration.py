"""Neither an answer nor its work reveals whether an account exists, nor its state.

`verification/test_secrecy.py` covers requests for links and for another address;
`bench/enumeration.py` compares the times themselves.
"""

import time
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import delete, update
from werkzeug.test import TestResponse

from authserve.auth.register import SILENT_SECS
from authserve.core.actor import VISITOR, RequestInfo
from authserve.database.transactions import transaction
from authserve.ratelimit.models import RateCounter
from authserve.settings.model import EmailVerification
from authserve.users.accounts import deactivate
from authserve.users.credentials import MAX_FAILED_SIGN_INS
from authserve.users.models import User
from tests.support.clients import PASSWORD
from tests.support.hashing import argon2_asked
from tests.support.observing import observed
from tests.support.people import make_user
from tests.support.rows import audit_trail

COST = "$argon2id$v=19$m=8,t=1,p=1"

NAMES = {
    "unknown": "unknown",
    "known": "vera",
    "unverified": "ulla",
    "deactivated": "dan",
    "without a password": "dora",
    "switched off": "olga",
    "about to be switched off": "lena",
}


@pytest.fixture
def people(make_app: Callable[..., Flask]) -> Flask:
    """An account for each of `NAMES` but the first, where addresses must be verified."""
    app = make_app(email_verification=EmailVerification.REQUIRED)
    with app.app_context():
        make_user("vera", email_verified=True)
        make_user("ulla")
        dan = make_user("dan", email_verified=True)
        deactivate(dan.id, actor=VISITOR, request=RequestInfo())
        make_user("dora", password=None)
        for name, count in (("olga", MAX_FAILED_SIGN_INS), ("lena", MAX_FAILED_SIGN_INS - 20)):
            user = make_user(name, email_verified=True)
            with transaction() as session:
                is_theirs = User.id == user.id
                session.execute(update(User).where(is_theirs).values(failed_sign_ins=count))
    return app


def attempt(app: Flask, identifier: str, password: str, ip: str, **fields: str) -> TestResponse:
    body = {"identifier": identifier, "password": password, **fields}
    response: TestResponse = app.test_client().post(
        "/api/v1/auth/login", json=body, environ_overrides={"REMOTE_ADDR": ip}
    )
    return response


Seen = tuple[Any, list[str], list[str], list[str]]


def seen(app: Flask, *args: str, **fields: str) -> Seen:
    """The answer to a sign-in, its statements, and the hashes that were checked and made."""
    code = "busy"
    while code == "busy":
        # A busy machine has checked no password.
        with argon2_asked() as (checked, made):
            answer, statements = observed(app, lambda: attempt(app, *args, **fields))
        code = answer[1]["code"]
    # Of an INSERT, columns without a value are left out.
    kinds = [statement.partition("(")[0] for statement in statements]
    return answer, kinds, checked, made


def transcript(app: Flask, identifier: str, passwords: list[str], **fields: str) -> list[Seen]:
    """Return the outcomes of the passwords, each from its own address, until a block begins."""
    return [
        seen(app, identifier, password, f"192.0.2.{number}", **fields)
        for number, password in enumerate(passwords)
    ]


def forget_addresses(app: Flask) -> None:
    with app.app_context(), transaction() as session:
        session.execute(delete(RateCounter))


PASSWORDS = ["wrong", "wröng" * 50, "a\\b", "w", PASSWORD[1:], "x", "y"]


@pytest.mark.parametrize("fields", [{}, {"device_token": "none of ours"}], ids=["", "device"])
@pytest.mark.parametrize("name", ["{}", "{}@example.com"], ids=["username", "address"])
@pytest.mark.usefixtures("clock")
def test_a_wrong_password_reveals_nothing_about_the_account(
    people: Flask, name: str, fields: dict[str, str]
) -> None:
    attempt(people, "warm", "up", "198.51.100.1")
    found = {}
    for kind, each in NAMES.items():
        forget_addresses(people)
        found[kind] = transcript(people, name.format(each), PASSWORDS, **fields)
    unknown = found["unknown"]
    for kind, transcribed in found.items():
        for number, expected in enumerate(unknown):
            for part, expected_part in zip(transcribed[number], expected, strict=True):
                assert part == expected_part, (kind, number)
    assert [answer[0] for answer, *_ in unknown] == [401] * 5 + [429] * 2
    assert [checked for _, _, checked, _ in unknown] == [[COST]] * 5 + [[]] * 2
    assert all(made == [] for *_, made in unknown)
    assert "UPDATE users" in str(unknown[0][1])


@pytest.mark.usefixtures("clock")
def test_the_right_password_of_one_that_is_switched_off_reveals_nothing(people: Flask) -> None:
    attempt(people, "warm", "up", "198.51.100.1")
    found = []
    for identifier in ("olga@example.com", "unknown@example.com"):
        forget_addresses(people)
        found.append(transcript(people, identifier, [PASSWORD] * 7))
    assert found[0] == found[1]
    assert [answer[0] for answer, *_ in found[0]] == [401] * 5 + [429] * 2


def test_registering_takes_a_time_that_hides_what_was_written(people: Flask) -> None:
    client = people.test_client()
    for email in ("alice@example.com", "new@example.com"):
        began_at = time.monotonic()
        body = {"email": email, "password": PASSWORD}
        assert client.post("/api/v1/auth/register", json=body).status_code == 202
        assert time.monotonic() - began_at >= SILENT_SECS


def test_registering_a_known_address_is_as_much_work_as_a_new_one(people: Flask) -> None:
    client = people.test_client()

    def register(email: str) -> TestResponse:
        body = {"email": email, "password": PASSWORD}
        response: TestResponse = client.post("/api/v1/auth/register", json=body)
        return response

    register("warm@example.com")
    answers, counts = [], []
    for name in (*NAMES.values(), "stranger"):
        with argon2_asked() as asked:
            answer, statements = observed(people, lambda n=name: register(f"{n}@example.com"))
        assert asked == ([], [COST]), name
        answers.append(answer)
        counts.append(len(statements))
    assert answers[0][0] == 202
    assert all(answer == answers[0] for answer in answers)
    # Where an account is there already, a rollback and another beginning take the place of two.
    assert max(counts) - min(counts) <= 2, counts
    repeated = audit_trail(people, "user.registration_repeated")
    assert [event["outcome"] for event in repeated] == ["failure"] * (len(NAMES) - 1)
    assert len({event["subject_audit_id"] for event in repeated}) == len(NAMES) - 1
