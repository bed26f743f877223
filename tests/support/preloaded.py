"""Load the service once, then fork for each request of `tests/support/processes.py`.

A request is a connection with a line of JSON, its answer a line as well. The service is loaded at
the first request. What is forked runs like `python -m`, and shares only the code that was loaded.
"""

import gc
import json
import os
import resource
import runpy
import select
import socket
import sys
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module

MODULES = ("authserve.app", "authserve.commands", "authserve.outbox.worker", "flask.cli")
MODULES += ("flask_migrate.cli", "psycopg2")
"""Loaded before the first fork. gunicorn and `prometheus_client` are not: as they are loaded, the
one keeps the folder, and the other reads variables."""


class Forked(Exception):
    """Raised in a forked process, to leave the loop of its parent."""


def start(
    command: list[str],
    folder: str,
    environ: dict[str, str],
    outputs: tuple[str, str],
    file_limits: tuple[int, int],
) -> int:
    """Fork, and return the id of the new process."""
    pid = os.fork()
    if pid:
        return pid
    for number, path in enumerate((os.devnull, *outputs)):
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    resource.setrlimit(resource.RLIMIT_NOFILE, file_limits)
    sys.path[0] = folder
    sys.argv = command
    raise Forked


def poll(pid: int) -> int | None:
    """Return the exit status, or None while the process runs."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


ACTIONS: Mapping[str, Callable[..., int | None]] = {"start": start, "poll": poll}


@cache
def load() -> None:
    """Load the service, at the first call."""
    for module in MODULES:
        import_module(module)
    gc.collect()
    gc.freeze()


def serve(listener: socket.socket) -> None:
    """Answer requests until standard input ends, as it does with the last process of the tests."""
    while sys.stdin not in select.select([sys.stdin, listener], [], [])[0]:
        load()
        connection, _ = listener.accept()
        with connection, connection.makefile("rw") as lines:
            action, *arguments = json.loads(lines.readline())
            lines.write(json.dumps(ACTIONS[action](*arguments)) + "\n")


def main() -> None:
    """Serve at an inherited socket; in a forked process, run its module."""
    try:
        with socket.socket(fileno=int(sys.argv[1])) as listener:
            serve(listener)
    except Forked:
        pass
    else:
        return
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
