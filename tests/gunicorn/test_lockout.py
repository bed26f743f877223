"""Strangers who guess passwords at a real server from many addresses, and the owner."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from threading import Event

import pytest
import requests
from sqlalchemy import func, select, update

from authserve.database.transactions import read_all, transaction
from authserve.mail.policy import MailKind
from authserve.outbox.models import OutboxMessage
from authserve.ratelimit.models import RateCounter
from authserve.users.credentials import MAX_FAILED_SIGN_INS
from authserve.users.models import User
from tests.gunicorn.conftest import Site
from tests.support.clients import PASSWORD, Caller, register_caller
from tests.support.crowd import DEADLINE_SECS, all_at_once
from tests.support.faults import rounds
from tests.support.marks import both_databases, on_postgresql
from tests.support.rows import audit_trail
from tests.support.server import Client

pytestmark = pytest.mark.gunicorn

GUESSES = rounds(1, at_most=50) * 200
"""Number of guesses; 10,000 with `make faults`."""

PAUSE_SECS = 0.05
"""Pause after `busy`: without it, strangers take the processor and not only the queue."""

NUMBERS = count()


def stranger() -> str:
    """Return an unused address."""
    number = next(NUMBERS)
    return f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"


Told = tuple[int, str | None]
"""A status, and the code of a refusal."""


AWAY = (503, "service_unavailable")
"""A machine too busy for its database; it reveals nothing about guesses, and a retry helps."""


def told(answers: Sequence[requests.Response]) -> Counter[Told]:
    """Count the answers by status and code, and check that each refusal has `Retry-After`."""
    is_later = [answer for answer in answers if answer.status_code in (429, 503)]
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in is_later)
    return Counter((a.status_code, None if a.ok else a.json()["code"]) for a in answers)


def post(client: Client, path: str, ip: str, token: str = "", **body: str) -> requests.Response:
    headers = {"X-Forwarded-For": ip}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    give_up = time.monotonic() + DEADLINE_SECS
    while True:
        answer = client.post(f"/api/v1/auth/{path}", json=body, headers=headers)
        if AWAY not in told([answer]):
            return answer
        assert time.monotonic() < give_up
        time.sleep(PAUSE_SECS)


def guess(client: Client, identifier: str, ip: str | None = None) -> requests.Response:
    return post(client, "login", ip or stranger(), identifier=identifier, password="wrong")


def kept_client(site: Site) -> Client:
    client = site.server.client(until_served=False)
    client.headers.pop("Connection")
    return client


@contextmanager
def guessing(
    site: Site, threads: int, name: Callable[[int], str], *, at_least: int
) -> Iterator[list[Told]]:
    """Let strangers guess until the block ends, and at least `at_least` times.

    Yields:
        Their answers.
    """
    is_over, heard = Event(), list[Told]()

    def guess_on(client: Client) -> None:
        while not is_over.is_set() or len(heard) < at_least:
            answer = guess(client, name(next(NUMBERS)))
            heard.extend(told([answer]))
            if answer.status_code == 503:
                time.sleep(PAUSE_SECS)

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(guess_on, kept_client(site)) for _ in range(threads)]
        try:
            yield heard
        finally:
            is_over.set()
    for thread in running:
        thread.result()


def live(site: Site, owner: Caller, ip: str) -> list[requests.Response]:
    """Return the answers to all uses of a password and a device token; the tokens keep working."""
    client, tokens = kept_client(site), owner.tokens
    device = tokens["device_token"]
    answers = [
        post(client, "login", ip, identifier="owner", password=PASSWORD, device_token=device),
        post(client, "reauthenticate", ip, tokens["access_token"], password=PASSWORD),
        post(client, "refresh", ip, refresh_token=tokens["refresh_token"]),
    ]
    if answers[2].ok:
        owner.tokens |= answers[2].json()
    if answers[0].ok:
        owner.tokens["device_token"] = answers[0].json()["device_token"]
    return answers


BUSY = (503, "busy")
"""The answer where no hashing place is free within two seconds."""


@pytest.fixture(scope="module")
def owner(proxied_site: Site) -> Caller:
    return register_caller(proxied_site.app, "owner")


@pytest.fixture(autouse=True)
def _counters_at_zero(proxied_site: Site) -> None:
    with proxied_site.app.app_context(), transaction() as session:
        session.execute(RateCounter.__table__.delete())  # type: ignore[attr-defined]
        session.execute(update(User).values(failed_sign_ins=0))


@on_postgresql
def test_an_owner_is_let_in_at_once_while_strangers_guess_from_everywhere(
    proxied_site: Site, owner: Caller
) -> None:
    """Nothing but `busy`, for want of time on a busy machine, makes the owner retry."""
    names = ("owner", "owner@example.com")
    answers: list[requests.Response] = []
    with guessing(proxied_site, 4, lambda n: names[n % 2], at_least=GUESSES) as heard:
        while set(told(answers)) <= {(200, None), BUSY} and told(answers)[200, None] < 15:
            answers += live(proxied_site, owner, "192.0.2.1")
    assert set(told(answers)) <= {(200, None), BUSY}
    assert len(heard) >= GUESSES
    assert set(heard) - {BUSY} == {(401, "invalid_credentials"), (429, "too_many_attempts")}


def test_an_owner_finds_a_place_at_the_hasher_while_strangers_fill_it(
    proxied_site: Site, owner: Caller
) -> None:
    """Each stranger has a name and an address of its own, so that all of them get to the queue.

    On a busy machine an owner may get `busy` as well, for want of time, and retries. Tests of the
    hasher check the places kept for owners, where time plays no part.
    """
    answers: list[requests.Response] = []
    with guessing(proxied_site, 24, "unknown{}".format, at_least=60) as heard:
        while told(answers)[200, None] < 6:
            answers += live(proxied_site, owner, "192.0.2.2")
    assert set(told(answers)) <= {(200, None), BUSY}
    assert set(heard) == {(401, "invalid_credentials"), BUSY}


def test_one_address_that_tries_many_accounts_gets_ten_answers(
    proxied_site: Site, owner: Caller
) -> None:
    client, ip = proxied_site.server.client(), stranger()
    calls = [lambda n=n: guess(client, f"other{n}", ip) for n in range(30)]
    answers = all_at_once(calls)
    assert told(answers) == {(401, "invalid_credentials"): 10, (429, "too_many_attempts"): 20}
    sign_in = {"identifier": "owner", "password": PASSWORD}
    assert post(client, "login", ip, **sign_in).status_code == 429
    assert post(client, "login", stranger(), **sign_in).status_code == 200


@both_databases
def test_of_twenty_guesses_at_once_one_switches_the_password_off(
    proxied_site: Site, owner: Caller
) -> None:
    app = proxied_site.app
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(failed_sign_ins=MAX_FAILED_SIGN_INS - 5))
    client = proxied_site.server.client()
    names = ("owner", "owner@example.com") * 10
    calls = [lambda n=name: guess(client, n) for name in names]
    found = told(all_at_once(calls))
    # A busy machine may answer 503 to a guess that counts, and the caller repeats it.
    assert 1 <= found[401, "invalid_credentials"] <= 10
    assert set(found) == {(401, "invalid_credentials"), (429, "too_many_attempts")}
    of_owner = select(User.failed_sign_ins).where(User.username == "owner")
    is_the_mail = OutboxMessage.kind == MailKind.PASSWORD_DISABLED
    with app.app_context():
        assert read_all(of_owner) == [(MAX_FAILED_SIGN_INS,)]
        assert read_all(select(func.count()).where(is_the_mail)) == [(1,)]
        with transaction() as session:
            session.execute(RateCounter.__table__.delete())  # type: ignore[attr-defined]
    assert len(audit_trail(app, "user.password_disabled")) == 1
    answer = post(client, "login", stranger(), identifier="owner", password=PASSWORD)
    assert told([answer]) == {(401, "invalid_credentials"): 1}
    assert told(live(proxied_site, owner, "192.0.2.3")) == {(200, None): 3}
