"""A real `flask worker`, in a process of its own."""

import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import config
from authserve.settings.model import Settings
from tests.support import processes
from tests.support.secrecy import SECRETS

DEADLINE_SECS = 300
"""Seconds after which a test gives up; every event comes much sooner, or never."""


class WorkerProcess:
    """`flask worker`, run in a copy of the project's top like the `Server` of these tests.

    Args:
        settings: database and secret, so that an application of the test shares both.
        folder: where the copy and the output go.
        environ: more variables, in the environment's own names.
        root: where the code is; another release may be beside ours.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        environ: Mapping[str, str],
        *,
        root: Path = config.ROOT,
    ) -> None:
        self._folder = folder
        folder.mkdir()
        for name in ("config.py", "wsgi.py", ".flaskenv"):
            shutil.copy(root / name, folder)
        variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(root),
            "APP_ENV": "test",
            "DATABASE_URL": settings.database_url,
            "SECRET_KEY": settings.secret_key,
            **environ,
        }
        self.process = processes.start(
            "flask",
            "worker",
            folder=folder,
            environ=variables,
            out=Path(os.devnull),
            err=folder / "stderr",
            root=root,
        )

    def kill(self) -> None:
        """Kill it, as a power cut does."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self) -> int:
        """Wait for its end and return the exit status."""
        status = self.process.wait(DEADLINE_SECS)
        assert SECRETS.found_in(self.output()) == [], "a secret was logged"
        return status

    def output(self) -> str:
        """Return its log."""
        return (self._folder / "stderr").read_text()

    def log(self) -> list[dict[str, Any]]:
        """The lines that it logged, each of which must be one JSON object."""
        return [json.loads(line) for line in self.output().splitlines()]


def wait_until(condition: Callable[[], object], *, what: str = "it does not happen") -> None:
    """Wait until `condition` holds."""
    give_up = time.monotonic() + DEADLINE_SECS
    while not condition():
        assert time.monotonic() < give_up, what
        time.sleep(0.02)
