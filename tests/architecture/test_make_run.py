"""`make run` starts the Procfile's processes with settings that agree."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import config
from tests.support.server import DEADLINE_SECS

PROCESS = """
import sys, time
from pathlib import Path

from config import load_settings

settings = load_settings()
Path(f"{sys.argv[1]}.part").write_text(f"{settings.public_url} {settings.port}")
Path(f"{sys.argv[1]}.part").rename(sys.argv[1])
# honcho ends all processes with the first that ends.
while not (Path("web").exists() and Path("worker").exists()):
    time.sleep(0.05)
"""


def test_the_worker_names_the_address_of_the_web_server(tmp_path: Path) -> None:
    for name in ("Makefile", "config.py", "requirements.txt", "requirements-uv.txt"):
        shutil.copy(config.ROOT / name, tmp_path)
    (tmp_path / "process.py").write_text(PROCESS)
    lines = [f"{name}: {sys.executable} process.py {name}" for name in ("web", "worker")]
    (tmp_path / "Procfile").write_text("\n".join(lines))
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
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_SECS,
    )
    assert (tmp_path / "web").exists(), done.stdout + done.stderr
    web, worker = ((tmp_path / name).read_text().split() for name in ("web", "worker"))
    assert web == ["http://localhost:8123", "8123"]
    assert worker[0] == web[0]
    assert worker[1] != web[1]
