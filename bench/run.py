"""Measure authserve against its floors and print a table; `make bench` runs this."""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from compileall import compile_dir
from contextlib import ExitStack, contextmanager
from uuid import UUID

from authserve.settings.model import FEATURE_NAMES
from bench.factors import measure_factors
from bench.filling import PASSWORD, fill
from bench.forward_auth import measure_forward_auth
from bench.gates import (
    CALLERS,
    STORMERS,
    USERS_PER_STORMER,
    Bench,
    Row,
    call,
    measure_memory,
    measure_passwords,
    measure_refreshes,
    measure_start,
    measure_storms,
    measure_token_checks,
    user_name,
)
from bench.load import build_request, measure_ceiling
from bench.page import Measured, write
from bench.pages import measure_pages
from bench.server import (
    AUTHSERVE,
    FLOOR,
    ROOT,
    ROTATING,
    database,
    environment,
    running,
    temporary_folder,
)

KINDS = ("sqlite", "postgresql")

GATES = {
    "G1": measure_token_checks,
    "G8": measure_refreshes,
    "G4": measure_passwords,
    "factors": measure_factors,
    "pages": measure_pages,
    "forward-auth": measure_forward_auth,
    "G6": measure_storms,
    "G10": measure_start,
}
"""By the name that `--only` takes; G6 includes G7, and G9 is always printed."""

SETTLE_SECS = 1.0
"""Pause before the memory of an idle service is measured (chosen)."""


def main() -> None:
    """Measure what was asked for, and print each line as it is known."""
    options = _parse()
    ceiling = measure_ceiling(CALLERS, options.seconds)
    load = os.getloadavg()[0]
    rows: list[Measured] = []
    print(f"{os.cpu_count()} cores; load average {load:.1f}; ", end="")
    print(f"the load alone takes {ceiling:.0f} answers/s")
    for kind in options.databases:
        print(f"\n{kind}", flush=True)
        with prepared(kind, options) as bench:
            rows.append(_print(kind, bench.idle))
            for name in options.only:
                rows += [_print(kind, row) for row in GATES[name](bench)]
            rows.append(_print(kind, measure_memory(bench.service, kind, "loaded")))
    if options.write:
        write(rows, load=load, features=options.all_on)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="pairs of measurements (5)")
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement (2)")
    parser.add_argument("--databases", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--only", nargs="+", choices=GATES, default=list(GATES))
    parser.add_argument("--all-on", action="store_true", help="with all that is optional")
    parser.add_argument("--write", action="store_true", help="put the table into the documentation")
    return parser.parse_args()


def _print(kind: str, row: Row) -> Measured:
    print(f"  {row.gate:4} {row.what:38} {row.value:60} {row.wanted:24} {row.verdict}", flush=True)
    return kind, row


@contextmanager
def prepared(kind: str, options: argparse.Namespace) -> Iterator[Bench]:
    """Both servers on a new database, with accounts that have signed in."""
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder())
        environ = environment(stack.enter_context(database(kind, folder)), folder) | ROTATING
        if options.all_on:
            environ["FEATURES"] = ",".join(FEATURE_NAMES)
            environ["METRICS_TOKEN"] = "a-token-of-this-measurement-alone-0123456789"
        # As in a deployed service: with compiling, a start takes a third longer and leaves freed
        # memory that the workers copy, 17 MB in all.
        compile_dir(ROOT / "authserve", quiet=1)
        migration = [sys.executable, "-m", "flask", "db", "upgrade"]
        subprocess.run(migration, cwd=ROOT, env=environ | {"LOG_LEVEL": "WARNING"}, check=True)
        stormers = STORMERS * USERS_PER_STORMER
        fill(environ["DATABASE_URL"], rows=2 * stormers)
        service = stack.enter_context(running(AUTHSERVE, environ, folder))
        service.wait_for_answer(build_request("GET", "/healthz"))
        # The other worker may still be starting, and then shares more memory than it will.
        time.sleep(SETTLE_SECS)
        idle = measure_memory(service, kind, "idle")
        # Accounts of their own: who signs in over and over ends their own oldest sessions.
        sign_ins = [
            call(service.port, "login", identifier=user_name(stormers + n), password=PASSWORD)
            for n in range(CALLERS)
        ]
        environ["FLOOR_USER_ID"] = str(UUID(int=1))
        floor = stack.enter_context(running(FLOOR, environ, folder))
        bench = Bench(
            kind, environ, folder, options.rounds, options.seconds, service, floor, idle, sign_ins
        )
        floor.wait_for_answer(bench.floor_request)
        yield bench


if __name__ == "__main__":
    main()
