"""A command of a shell, run by a fork of the process that has loaded the service.

Arguments: the socket of `tests/support/preloaded.py`, a module, and the module's arguments. The
fork has this process's folder, environment and output, gets its SIGTERM, and gives its exit status.
Only modules of the standard library are loaded here: a start takes 20 ms of CPU (measured).
"""

import json
import os
import resource
import signal
import socket
import sys
import time
from typing import Any

POLL_SECS = 0.05
"""Seconds between two looks at the fork (chosen)."""


def ask(address: str, action: str, *arguments: Any) -> Any:
    """Send a request to the process that has loaded the service, and return its answer."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        with connection.makefile("rw") as lines:
            lines.write(json.dumps([action, *arguments]) + "\n")
            lines.flush()
            return json.loads(lines.readline())


def main(address: str, *command: str) -> int:
    """Run a command to its end, and return its exit status."""
    outputs = [f"/proc/{os.getpid()}/fd/{number}" for number in (1, 2)]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    pid = ask(address, "start", command, os.getcwd(), dict(os.environ), outputs, limits)
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(pid, number))
    while (status := ask(address, "poll", pid)) is None:
        time.sleep(POLL_SECS)
    return int(status)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
