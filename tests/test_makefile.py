"""The messages of `make` when it cannot continue."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import config
from tests.support.ports import reserved_port

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")


def test_an_old_python_is_refused_in_words(tmp_path: Path) -> None:
    python = tmp_path / "python3.9"
    python.write_text('#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.18" && exit\nexit 1\n')
    python.chmod(0o755)
    done = subprocess.run(
        ["make", "run", f"PYTHON={python}", f"VENV={tmp_path}/venv"],
        cwd=config.ROOT,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"authserve needs Python 3.11 or newer, and {python} is Python 3.9.18." in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "venv").exists()


def test_a_port_that_is_taken_is_named_before_anything_starts(tmp_path: Path) -> None:
    for name in ("Makefile", "config.py", "requirements.txt", "requirements-uv.txt"):
        shutil.copy(config.ROOT / name, tmp_path)
    (tmp_path / "venv").mkdir()
    (tmp_path / "venv" / "run.stamp").touch()
    with reserved_port() as port, socket.create_server(("127.0.0.1", port)):
        done = subprocess.run(
            ["make", "run", f"BIN={Path(sys.executable).parent}", "VENV=venv", f"PORT={port}"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(config.ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode != 0
    assert f"Another program listens on port {port}." in done.stderr
    assert f"make run PORT={port + 1}" in done.stderr
    assert "Traceback" not in done.stderr
    assert "flask db upgrade" not in done.stdout
