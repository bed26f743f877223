"""`make run` starts the Procfile's processes with settings that agree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import config

PROCFILE = """
web: {python} -c "from config import load_settings as s; print('base', s().public_url, s().port)"
worker: {python} -c "from config import load_settings as s; print('base', s().public_url)"
"""


def test_the_worker_names_the_address_of_the_web_server(tmp_path: Path) -> None:
    for name in ("Makefile", "config.py", "requirements.txt"):
        shutil.copy(config.ROOT / name, tmp_path)
    (tmp_path / "Procfile").write_text(PROCFILE.format(python=sys.executable))
    stamps = tmp_path / "venv"
    stamps.mkdir()
    (stamps / "run.stamp").touch()
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(config.ROOT), "PORT": "8123"}
    shown = subprocess.run(
        ["make", "-n", "run", f"BIN={Path(sys.executable).parent}", "VENV=venv"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    command = shown[shown.index("exec env") :]
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environ, capture_output=True, text=True
    )
    said = [line.split("base ")[1] for line in done.stdout.splitlines() if "base " in line]
    assert sorted(said) == ["http://localhost:8123", "http://localhost:8123 8123"], done.stderr
