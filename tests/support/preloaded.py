"""Load the service once, then fork for each request of `tests/support/processes.py`.

A request is a line of JSON on standard input, its answer one on standard output. What is forked
runs like `python -m`, and shares only the code that was loaded.
"""

import gc
import json
import os
import resource
import runpy
import sys
from collections.abc import Callable, Mapping
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


def serve() -> None:
    """Answer requests until there are no more."""
    for line in sys.stdin:
        action, *arguments = json.loads(line)
        print(json.dumps(ACTIONS[action](*arguments)), flush=True)  # noqa: T201 - it is the answer


def main() -> None:
    """Load the service and serve; in a forked process, run its module."""
    for module in MODULES:
        import_module(module)
    gc.collect()
    gc.freeze()
    try:
        serve()
    except Forked:
        pass
    else:
        return
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
