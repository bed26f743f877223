"""Load the service once, then fork for each request of `tests/support/processes.py`.

A request is a connection with a line of JSON, its answer a line as well. The service is loaded at
the first request. What is forked runs like `python -m`, and shares only the code that was loaded.

It ends like `python -m` as well, up to the last function of `atexit`: threads are joined, and all
these functions run. Python would then free each object of the shared code, and so copy the memory
of all of it, which is most of what the end of a server costs (measured).
"""

import atexit
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


class Ending:
    """The end of a forked process, and of those that it forks itself, such as gunicorn's workers.

    It must be made before any other function is registered with `atexit`: the first one runs last.
    """

    def __init__(self) -> None:
        self._status: int | None = None
        atexit.register(self._exit)

    def run(self, module: str) -> None:
        """Run a module as `python -m` does, and note the status for the end."""
        # That of an uncaught exception, of which `sys.exit("text")` is one.
        self._status = 1
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            self._status = 0
        except SystemExit as ended:
            if not isinstance(ended.code, str):
                self._status = int(ended.code or 0)
            raise

    def _exit(self) -> None:
        if self._status is None:
            return
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except (OSError, ValueError):
            # Python reports it at its own end.
            return
        os._exit(self._status)


def main() -> None:
    """Serve at an inherited socket; in a forked process, run its module."""
    ending = Ending()
    try:
        with socket.socket(fileno=int(sys.argv[1])) as listener:
            serve(listener)
    except Forked:
        pass
    else:
        return
    ending.run(sys.argv[0])


if __name__ == "__main__":
    main()
