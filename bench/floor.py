"""The floors: the least that such a service could do, to hold authserve against.

`app` is bare Flask with one primary-key SELECT by SQLAlchemy Core with its defaults: no token, no
log line, no schema. Run as `python -m bench.floor LIBRARY SECONDS`, this module checks passwords as
fast as the machine can, and prints how many it got through each second.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from uuid import UUID

from argon2 import PasswordHasher
from flask import Flask, Response, jsonify
from nacl.pwhash import argon2id
from sqlalchemy import Column, MetaData, String, Table, Uuid, create_engine, select

from authserve.settings.model import PasswordCost

WORKERS = 2
"""Processes, of the floor as of authserve: as many as the gates are written for."""

THREADS = 8
"""Threads of each of the floor's workers."""

PATH = "/user"


def create_floor() -> Flask:
    """Build the floor's application; `FLOOR_USER_ID` is the one row that it reads."""
    app = Flask(__name__)
    engine = create_engine(os.environ["DATABASE_URL"])
    users = Table(
        "users",
        MetaData(),
        Column("id", Uuid, primary_key=True),
        Column("email", String),
        Column("username", String),
        Column("display_name", String),
    )
    user_id = UUID(os.environ["FLOOR_USER_ID"])

    @app.get(PATH)
    def user() -> Response:
        with engine.connect() as connection:
            row = connection.execute(select(users).where(users.c.id == user_id)).one()
        return jsonify(
            id=str(row.id), email=row.email, username=row.username, display_name=row.display_name
        )

    return app


REFERENCE = "argon2-cffi"
"""The library that the gates were written for."""


def _reference() -> Callable[[], object]:
    cost = PasswordCost()
    hasher = PasswordHasher(cost.time_cost, cost.memory_kib, cost.parallelism)
    return partial(hasher.verify, hasher.hash("a password"), "a password")


def _libsodium() -> Callable[[], object]:
    cost = PasswordCost()
    stored = argon2id.str(b"a password", cost.time_cost, cost.memory_kib * 1024)
    return partial(argon2id.verify, stored, b"a password")


HASHERS = {REFERENCE: _reference, "libsodium": _libsodium}
"""By the name of the library: what checks a password of the default cost."""


def count_hashes(check: Callable[[], object], seconds: float) -> float:
    """Checks of a password each second, by as many threads as authserve has workers."""
    began_at = time.perf_counter()
    counts = [0] * WORKERS

    def work(number: int) -> None:
        while time.perf_counter() - began_at < seconds:
            check()
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began_at)


if __name__ == "__main__":
    print(count_hashes(HASHERS[sys.argv[1]](), float(sys.argv[2])))
