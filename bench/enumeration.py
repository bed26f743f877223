"""Compare response times of known and unknown accounts: `python -m bench.enumeration`.

Every kind of caller takes its turn in every round, in a new order each time, so that other load on
the machine affects all kinds alike. Two samples are compared by their ranks (Mann and Whitney): the
chance that a time of the first exceeds one of the second, which is half for samples of one
distribution, and the probability of such a distance from half by accident.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import count
from math import erfc, sqrt
from statistics import median, quantiles

from passlib.hash import bcrypt

import config
from authserve.app import create_app
from authserve.core.actor import VISITOR, RequestInfo
from authserve.database.transactions import db, transaction
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.users.accounts import NewUser, add_user, deactivate
from authserve.users.credentials import MAX_FAILED_SIGN_INS
from authserve.users.models import User
from bench.load import build_request
from bench.run import KINDS
from bench.server import AUTHSERVE, ROOT, Gunicorn, database, environment, running, temporary_folder

PASSWORD = "correct horse battery staple"

GUESSES_PER_ACCOUNT = 4
"""One fewer than begins a block."""

SIGNIFICANCE = 0.01
"""Level of significance of all comparisons of a run together (Bonferroni)."""

UNKNOWN = "unknown"
IMPORTED = "imported, bcrypt"

STATES = (
    UNKNOWN,
    "known",
    "unverified",
    "deactivated",
    "without a password",
    "switched off",
    IMPORTED,
)
"""States of the accounts; the last is the known deviation, and an example of a difference."""

ADDRESSES = count()


@dataclass(frozen=True)
class Call:
    """One kind of request, of which there are variants that should take the same time."""

    path: str
    variants: Sequence[str]
    body: Callable[[str, int], dict[str, str]]
    status: int


def email_of(state: str, number: int) -> str:
    """The address of an account in a state."""
    return f"{''.join(filter(str.isalpha, state))}{number}@example.com"


def guess_at(state: str, sample: int) -> dict[str, str]:
    """A wrong password for one of the accounts, of which each gets a few."""
    number = sample // GUESSES_PER_ACCOUNT
    return {"identifier": email_of(state, number), "password": f"wrong {sample}"}


def forget(state: str, sample: int) -> dict[str, str]:
    """A lost password of one of the accounts."""
    return {"email": email_of(state, sample // GUESSES_PER_ACCOUNT)}


def sign_up(state: str, sample: int) -> dict[str, str]:
    """A registration with the address of one of the accounts, or with a new one."""
    number = 10**6 + sample if state == UNKNOWN else sample // GUESSES_PER_ACCOUNT
    return {"email": email_of(state, number), "password": PASSWORD}


CALLS = {
    "login": Call("login", STATES, guess_at, 401),
    "forgot": Call("password/forgot", STATES[:5], forget, 202),
    "register": Call("register", STATES[:5], sign_up, 202),
}


def main() -> None:
    """Measure, and print a table for each kind of database and each call."""
    options = _parse()
    comparisons = sum(len(CALLS[name].variants) - 1 for name in options.only)
    print(f"{os.cpu_count()} cores; load average {os.getloadavg()[0]:.1f}")
    for kind in options.databases:
        with prepared(kind, options.samples) as service:
            for name in options.only:
                times = measure(service.port, CALLS[name], options.samples)
                print(f"\n{kind}, {name}, {options.samples} of each")
                report(times, SIGNIFICANCE / comparisons)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.enumeration", description=__doc__)
    parser.add_argument("--samples", type=int, default=200, help="of each kind (200)")
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--only", nargs="+", choices=CALLS, default=list(CALLS))
    return parser.parse_args()


@contextmanager
def prepared(kind: str, samples: int) -> Iterator[Gunicorn]:
    """A service on a new database, with accounts in every state, that has warmed up."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        environ = environment(stack.enter_context(database(kind, folder)), folder) | {
            "EMAIL_VERIFICATION": "required",
            "TRUSTED_PROXIES": "1",
            # At a lower priority, other load on the machine would add to every time.
            "HASH_NICENESS": "0",
            "LOG_LEVEL": "WARNING",
        }
        migration = [sys.executable, "-m", "flask", "db", "upgrade"]
        subprocess.run(migration, cwd=ROOT, env=environ, check=True)
        make_accounts(environ, samples // GUESSES_PER_ACCOUNT + 1)
        service = stack.enter_context(running(AUTHSERVE, environ, folder))
        service.wait_for_answer(build_request("GET", "/healthz"))
        for call in CALLS.values():
            measure(service.port, Call(call.path, ["warm"], call.body, call.status), 20)
        yield service


def make_accounts(environ: dict[str, str], each: int) -> None:
    """Open the accounts past the HTTP edge; those of one state share a hash, which costs alike."""
    os.environ.update(environ)
    app = create_app(config.load_settings())
    with app.app_context():
        own = PASSWORD_HASHER.get().hash(PASSWORD)
        hashes = {"without a password": None, IMPORTED: bcrypt.using(rounds=11).hash(PASSWORD)}
        for state in STATES[1:]:
            with transaction():
                users = [_make_account(state, n, hashes.get(state, own)) for n in range(each)]
            if state == "deactivated":
                for user in users:
                    deactivate(user.id, actor=VISITOR, request=RequestInfo())
        db.engine.dispose()


def _make_account(state: str, number: int, password_hash: str | None) -> User:
    is_verified = state != "unverified"
    user = add_user(
        NewUser(
            email=email_of(state, number), password_hash=password_hash, email_verified=is_verified
        )
    )
    user.failed_sign_ins = MAX_FAILED_SIGN_INS if state == "switched off" else 0
    return user


def measure(port: int, call: Call, samples: int) -> dict[str, list[float]]:
    """Milliseconds of each answer, by variant; one caller, who comes from everywhere."""
    times: dict[str, list[float]] = defaultdict(list)
    order, shuffle = list(call.variants), random.Random(1).shuffle
    for sample in range(samples):
        shuffle(order)
        # All of a round are answered by one worker, so that none is met by some variants alone.
        connection = HTTPConnection("127.0.0.1", port)
        connection.connect()
        for variant in order:
            times[variant].append(_ask(connection, call, call.body(variant, sample)))
        connection.close()
    return times


def _ask(connection: HTTPConnection, call: Call, body: dict[str, str]) -> float:
    number = next(ADDRESSES)
    headers = {
        "Content-Type": "application/json",
        "X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}",
    }
    data = json.dumps(body)
    began_at = time.perf_counter()
    connection.request("POST", f"/api/v1/auth/{call.path}", data, headers)
    response = connection.getresponse()
    answer = response.read()
    taken_ms = (time.perf_counter() - began_at) * 1000
    if response.status != call.status:
        raise RuntimeError(f"{call.path}: {response.status} {answer!r}")
    return taken_ms


def report(times: dict[str, list[float]], significance: float) -> None:
    """Print each variant beside the unknown one."""
    print(f"  {'':20} {'median':>9} {'quartiles':>15} {'slower':>8} {'p':>9}")
    for variant, taken in times.items():
        low, middle, high = quantiles(taken, n=4)
        line = f"  {variant:20} {middle:6.2f} ms {low:7.2f}-{high:.2f}"
        if variant == UNKNOWN:
            print(line)
            continue
        chance, p = compare(taken, times[UNKNOWN])
        verdict = "alike"
        if p < significance:
            verdict = f"DIFFERS by {median(taken) - median(times[UNKNOWN]):+.2f} ms"
        print(f"{line:50} {chance:8.1%} {p:9.2g}  {verdict}")


def compare(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Return the chance that one of `first` exceeds one of `second`, and its p-value against half.

    Mann and Whitney's U in its normal approximation, two-sided, which is good from 20 samples on.
    Times of a nanosecond clock have practically no ties.
    """
    ranked = sorted((value, is_first) for is_first in (0, 1) for value in (second, first)[is_first])
    rank_sum = sum(rank for rank, (_, is_first) in enumerate(ranked, 1) if is_first)
    pairs = len(first) * len(second)
    exceeding = rank_sum - len(first) * (len(first) + 1) / 2
    deviation = sqrt(pairs * (len(first) + len(second) + 1) / 12)
    return exceeding / pairs, erfc(abs(exceeding - pairs / 2) / deviation / sqrt(2))


if __name__ == "__main__":
    main()
