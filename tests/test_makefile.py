"""The messages of `make` when it cannot continue."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import config


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed here")
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
