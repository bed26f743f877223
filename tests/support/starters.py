"""Load the service once, then fork into a number of `flask` commands.

Usage: python -m tests.support.starters COUNT FOLDER ARGUMENT...

The processes are real and share only their code, whose loading takes a second. The script prints
their ids in one line and, when all have ended, their exit statuses in another. The output of number
3 goes to `3.out` and `3.err` in the folder.
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
