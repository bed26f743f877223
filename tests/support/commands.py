"""Running `flask` as operators do: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import config

DEADLINE_SECS = 300
"""Seconds after which a test gives up on a command; none takes nearly as long."""


def run_flask(
    *args: str,
    database_url: str,
    folder: Path,
    stdout: int | IO[bytes] = subprocess.PIPE,
    **environ: str,
) -> subprocess.CompletedProcess[bytes]:
    """Run one command against a database, in a folder without a `.env`."""
    return subprocess.run(
        [sys.executable, "-m", "flask", "--app", "wsgi:app", *args],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(config.ROOT),
            "APP_ENV": "test",
            "SECRET_KEY": "a secret for tests alone, 0123456789",
            "DATABASE_URL": database_url,
            **environ,
        },
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        timeout=DEADLINE_SECS,
        check=False,
    )
