"""`python -m` without the second that loading the service takes.

Each process is real, with a folder, an environment and output of its own, and shares code alone
with others. Tests of the loading itself, and of another release, start a new interpreter.
"""

import atexit
import os
import resource
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import config
from tests.support import forked_command

POLL_SECS = 0.01
"""Seconds between two looks at a process that a test waits for (chosen, not measured)."""

DEADLINE_SECS = 300
"""Seconds after which a test gives up on a command; none takes nearly as long."""


class Process(Protocol):
    """The part of `subprocess.Popen` that tests of servers use."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None: ...
    def wait(self, timeout: float | None = None) -> int: ...
    def send_signal(self, sig: int) -> None: ...
    def kill(self) -> None: ...
    def terminate(self) -> None: ...


class Parent:
    """The process that has loaded the service and forks (`tests/support/preloaded.py`).

    Processes that the tests run in share it if it was made before they were forked.
    """

    def __init__(self) -> None:
        folder = TemporaryDirectory()
        self.address = f"{folder.name}/socket"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self.address)
            listener.listen()
            descriptor = listener.fileno()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.preloaded", str(descriptor)],
                cwd=config.ROOT,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(config.ROOT)},
                stdin=subprocess.PIPE,
                pass_fds=(descriptor,),
            )
        atexit.register(folder.cleanup)
        atexit.register(self._process.communicate)

    def ask(self, action: str, *arguments: Any) -> Any:
        """Send a request and return its answer."""
        return forked_command.ask(self.address, action, *arguments)


the_parent = cache(Parent)


class ForkedProcess:
    """A process of that parent, used like a `subprocess.Popen`."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return the exit status, or None while the process runs."""
        if self.returncode is None:
            self.returncode = the_parent().ask("poll", self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit status."""
        give_up = time.monotonic() + (timeout or float("inf"))
        while (status := self.poll()) is None:
            if time.monotonic() > give_up:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            time.sleep(POLL_SECS)
        return status

    def send_signal(self, sig: int) -> None:
        """Send a signal, unless the process has ended."""
        if self.poll() is None:
            os.kill(self.pid, sig)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)


def start(
    *command: str,
    folder: Path,
    environ: Mapping[str, str],
    out: Path,
    err: Path,
    root: Path = config.ROOT,
) -> Process:
    """Start `python -m` with a command, and append its output to two files.

    Args:
        command: a module and its arguments.
        folder: where it runs.
        environ: all of its variables.
        root: where the code is; that of another release is loaded anew.
    """
    if root != config.ROOT:
        with out.open("ab") as stdout, err.open("ab") as stderr:
            arguments = [sys.executable, "-m", *command]
            return subprocess.Popen(
                arguments, cwd=folder, env=environ, stdout=stdout, stderr=stderr
            )
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    outputs = (str(out), str(err))
    return ForkedProcess(
        the_parent().ask("start", command, str(folder), dict(environ), outputs, limits)
    )


def run(
    *command: str, folder: Path, environ: Mapping[str, str], root: Path = config.ROOT
) -> subprocess.CompletedProcess[str]:
    """Run `python -m` with a command to its end; the arguments are those of `start`."""
    with TemporaryDirectory() as outputs:
        out, err = Path(outputs, "out"), Path(outputs, "err")
        process = start(*command, folder=folder, environ=environ, out=out, err=err, root=root)
        status = process.wait(DEADLINE_SECS)
        return subprocess.CompletedProcess(command, status, out.read_text(), err.read_text())


def write_commands(folder: Path) -> None:
    """Write `flask` and `gunicorn` into a folder for a shell's `PATH`: forks, as above.

    The shell's output must be a file, as that of the process that forks may be one.
    """
    folder.mkdir()
    for name in ("flask", "gunicorn"):
        start = (sys.executable, "-IS", forked_command.__file__, the_parent().address, name)
        path = folder / name
        path.write_text(f'#!/bin/sh\nexec {shlex.join(start)} "$@"\n')
        path.chmod(0o755)
