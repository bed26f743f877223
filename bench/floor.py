"""The floors: the least that such a service could do, to hold authserve against.

`app` is bare Flask with one primary-key SELECT by SQLAlchemy Core with its defaults: no token, no
log line, no schema. Run as `python -m bench.floor SECONDS`, this module hashes passwords as fast
as the machine can, and prints how many it got through each second.
"""

import os
import sys
import threading
import time
from uuid import UUID

from argon2 import PasswordHasher
from flask import Flask, Response, jsonify
from sqlalchemy import Column, MetaData, String, Table, Uuid, create_engine, select

from authserve.core.settings import PasswordCost

WORKERS = 2
"""Processes, of the floor as of authserve: as many as the gates are written for."""

THREADS = 8
"""Of each of the floor's workers."""

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


def count_hashes(seconds: float) -> float:
    """Verifications of a password each second, by as many threads as authserve has workers."""
    cost = PasswordCost()
    hasher = PasswordHasher(cost.time_cost, cost.memory_kib, cost.parallelism)
    stored = hasher.hash("a password")
    began_at = time.perf_counter()
    counts = [0] * WORKERS

    def work(number: int) -> None:
        while time.perf_counter() - began_at < seconds:
            hasher.verify(stored, "a password")
            counts[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - began_at)


if __name__ == "__main__":
    print(count_hashes(float(sys.argv[1])))
