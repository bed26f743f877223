"""A session of a page, pasted into a shell: `curl` against a server of a test."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.server import DEADLINE_SECS

DEFAULT_URL = "http://localhost:8000"
"""The address of `make run`, which the pages name; a test's server has another."""


def paste(script: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a page's script against the server at `url`.

    A call that gets 503 is repeated, as by the tests' other clients.

    Args:
        folder: where curl finds its own settings.
    """
    if shutil.which("curl") is None:
        pytest.skip("the page's session is written for curl, which is not installed here")
    (folder / ".curlrc").write_text(f"retry = 100\nretry-max-time = {DEADLINE_SECS}\n")
    return subprocess.run(
        ["bash"],
        input=script.replace(DEFAULT_URL, url),
        env={**os.environ, "CURL_HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECS,
        check=False,
    )


def answers_of(done: subprocess.CompletedProcess[str]) -> list[Any]:
    """Return the lines of JSON that a script printed; it must have had no fault."""
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines() if line]
