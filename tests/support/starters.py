"""Loads the service once, then becomes as many `flask` commands as it is told to.

Usage: python -m tests.support.starters COUNT FOLDER ARGUMENT...

The processes are real and share nothing but their code; to load that takes a second each.
Prints their ids in one line and, when all have ended, their exit statuses in another. What number
3 writes goes to `3.out` and `3.err` in the folder.
"""

import os
import sys
from importlib.metadata import entry_points
from pathlib import Path

import flask.cli

import authserve.app  # noqa: F401 - so that no process has to
import config  # noqa: F401


def main() -> None:
    count, folder, arguments = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    for command in entry_points(group="flask.commands"):
        command.load()
    pids = []
    for number in range(count):
        pid = os.fork()
        if pid == 0:
            _become(arguments, folder / str(number))
        pids.append(pid)
    print(*pids, flush=True)  # noqa: T201 - the test reads it
    statuses = dict(os.wait() for _ in pids)
    print(*(os.waitstatus_to_exitcode(statuses[pid]) for pid in pids))  # noqa: T201


def _become(arguments: list[str], output: Path) -> None:
    for descriptor, suffix in ((1, ".out"), (2, ".err")):
        with output.with_suffix(suffix).open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    sys.argv = ["flask", *arguments]
    flask.cli.main()  # It ends the process.


if __name__ == "__main__":
    main()
