"""The cost of every call as the tables grow: `make bench-scale` runs this.

One column for each number of users. One caller sends one call at a time to a gunicorn as
`bench.run` starts it, and the median is printed; commands are timed as a whole.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any

from bench.filling import DEAD_SESSIONS, FIRST_CREATED_AT, PASSWORD, fill
from bench.gates import ME, call, post, refresh_on_and_on, register_anew
from bench.load import Caller, NextRequest, always, build_request, run
from bench.server import (
    AUTHSERVE,
    ROOT,
    ROTATING,
    Gunicorn,
    database,
    environment,
    running,
    temporary_folder,
)

KINDS = ("sqlite", "postgresql")
SIZES = (1_000, 100_000, 1_000_000)

IMPORTED = 10_000
"""Rows of the import that is timed."""

USERS = "/api/v1/users"
EVENTS = "/api/v1/audit-events"


@dataclass
class Scale:
    """A service over a database of a known size, and an administrator.

    Args:
        token: the administrator's.
        user_id: the id of an account in the middle.
        seconds: the duration of each call's measurement.
    """

    service: Gunicorn
    environ: dict[str, str]
    folder: Path
    rows: int
    token: str
    user_id: str
    seconds: float

    @property
    def middle(self) -> str:
        """The username of that account."""
        return f"user{self.rows // 2 + 1}"  # Of a hundred, the last is deactivated.

    def get(self, path: str) -> dict[str, Any]:
        """One answer, where time does not count."""
        connection = HTTPConnection("127.0.0.1", self.service.port)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {self.token}"})
            document: dict[str, Any] = json.load(connection.getresponse())
            return document
        finally:
            connection.close()

    def flask(self, *command: str, stdin: str | None = None) -> float:
        """Run a command; returns the seconds that it took."""
        began_at = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "flask", *command],
            cwd=ROOT,
            env=self.environ,
            input=stdin,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            check=True,
        )
        return time.perf_counter() - began_at


def measure(scale: Scale, only: str) -> Iterator[tuple[str, str]]:
    """Yield each call's name and its figure."""
    for what, next_request in _requests(scale):
        if only not in what:
            continue
        (result,) = run([Caller(scale.service.port, next_request)], scale.seconds).values()
        yield what, f"{median(result.require_success().latencies_secs) * 1000:.1f} ms"
    if not only:
        yield from _measure_commands(scale)


def _measure_commands(scale: Scale) -> Iterator[tuple[str, str]]:
    yield "flask sessions purge", f"{DEAD_SESSIONS / scale.flask('sessions', 'purge'):,.0f} rows/s"
    for dry in (True, False):
        what, seconds = _import(scale, dry=dry)
        yield what, f"{IMPORTED / seconds:,.0f} rows/s"
    exported = scale.flask("users", "export", str(scale.folder / "export.ndjson"))
    yield "flask users export", f"{scale.rows / exported:,.0f} rows/s"


def _requests(scale: Scale) -> Iterator[tuple[str, NextRequest]]:
    """Everything that is asked over HTTP."""
    signed_in = call(scale.service.port, "login", identifier=scale.middle, password=PASSWORD)
    get = partial(build_request, "GET", token=scale.token)
    yield "GET /users/me", always(get(ME))
    yield "POST /auth/refresh", refresh_on_and_on(signed_in["refresh_token"])
    # After fifty of these, the session before is ended.
    yield "POST /auth/login", always(post("login", identifier=scale.middle, password=PASSWORD))
    yield "POST /auth/register", register_anew(count(1))
    for what, path in _pages(scale):
        yield f"GET {what}", always(get(path))


def _pages(scale: Scale) -> Iterator[tuple[str, str]]:
    """The lists, with what narrows them, and what there is to ask of one account."""
    middle = FIRST_CREATED_AT + timedelta(seconds=scale.rows // 2)
    moment = f"{middle:%Y-%m-%dT%H:%M:%SZ}"
    before = f"created_before={moment}"
    cursor = scale.get(f"{USERS}?{before}")["next_cursor"]
    yield "/users", USERS
    yield "/users?created_before= (the middle)", f"{USERS}?{before}"
    yield "/users?created_after= (the middle)", f"{USERS}?created_after={moment}"
    yield "/users?cursor= (the middle)", f"{USERS}?{before}&cursor={cursor}"
    yield "/users?q= (one)", f"{USERS}?q={scale.middle}@"
    yield "/users?q= (all)", f"{USERS}?q=user"
    yield "/users?q= (some)", f"{USERS}?q=user1"
    yield "/users?q= (none)", f"{USERS}?q=nosuch"
    yield "/users?q=@ (all)", f"{USERS}?q=@example.com"
    yield "/users?updated_after= (the middle)", f"{USERS}?updated_after={moment}"
    yield "/users?mfa_enabled=true", f"{USERS}?mfa_enabled=true"
    yield "/users?q=&is_active=false", f"{USERS}?q=user1&is_active=false"
    yield "/users?is_active=false", f"{USERS}?is_active=false"
    yield "/users?role= (one)", f"{USERS}?role=admin"
    yield "/users?role= (all)", f"{USERS}?role=user"
    one = f"{USERS}/{scale.user_id}"
    for part in ("", "/sign-in-status", "/sessions"):
        yield f"/users/{{id}}{part}", f"{one}{part}"
    yield "/audit-events", EVENTS
    yield "/audit-events?before= (the middle)", f"{EVENTS}?before={moment}"
    yield "/audit-events?action=", f"{EVENTS}?action=session.started"
    both = f"action=session.started&before={moment}"
    yield "/audit-events?action=&before=", f"{EVENTS}?{both}"
    yield "/audit-events?correlation_id=", f"{EVENTS}?correlation_id=nothing"
    yield "/audit-events?subject_id=", f"{EVENTS}?subject_id={scale.user_id}"


def _import(scale: Scale, *, dry: bool) -> tuple[str, float]:
    """Import new accounts, hashes as they are; returns what was done, and the seconds."""
    file = scale.folder / "import.csv"
    lines = (f"import{n}@example.com,import{n}" for n in range(IMPORTED))
    file.write_text("\n".join(["email,username", *lines]))
    options = ["--dry-run"] if dry else []
    seconds = scale.flask("users", "import", str(file), "--format", "csv", *options)
    return " ".join(["flask users import", *options]), seconds


def measure_size(kind: str, rows: int, options: argparse.Namespace) -> dict[str, str]:
    """Fill a database and measure everything on it."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        environ = environment(stack.enter_context(database(kind, folder)), folder) | ROTATING
        environ["LOG_LEVEL"] = "WARNING"
        if options.apps:
            environ["FEATURES"] = "pages,oidc"
        migration = [sys.executable, "-m", "flask", "db", "upgrade"]
        subprocess.run(migration, cwd=ROOT, env=environ, check=True)
        began_at = time.perf_counter()
        fill(environ["DATABASE_URL"], rows, apps=options.apps)
        print(f"{kind}: {rows:,} users in {time.perf_counter() - began_at:.0f} s", file=sys.stderr)
        service = stack.enter_context(running(AUTHSERVE, environ, folder))
        service.wait_for_answer(build_request("GET", "/healthz"))
        scale = Scale(service, environ, folder, rows, "", "", options.seconds)
        _sign_the_administrator_in(scale)
        return dict(measure(scale, options.only))


def _sign_the_administrator_in(scale: Scale) -> None:
    create = ("users", "create", "root@example.com", "--role", "admin", "--password-stdin")
    scale.flask(*create, stdin=PASSWORD)
    identity = {"identifier": "root@example.com", "password": PASSWORD}
    scale.token = call(scale.service.port, "login", **identity)["access_token"]
    (found,) = scale.get(f"{USERS}?q={scale.middle}@")["items"]
    scale.user_id = found["id"]


def main() -> None:
    """Measure what was asked for, and print a table for each kind of database."""
    options = _parse()
    print(f"{os.cpu_count()} cores; load average {os.getloadavg()[0]:.1f}")
    for kind in options.databases:
        columns = [measure_size(kind, rows, options) for rows in options.sizes]
        head = "".join(f"{rows:>16,}" for rows in options.sizes)
        print(f"\n{kind + ', users:':40}{head}")
        for what in columns[0]:
            print(f"{what:40}{''.join(f'{column[what]:>16}' for column in columns)}", flush=True)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="each call is asked (1)")
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, help="numbers of users")
    parser.add_argument("--apps", type=int, default=0, help="apps of each user, with `oidc` on (0)")
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="calls whose name has this in it, no commands"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
