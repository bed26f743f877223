"""A full disk: for a database in a file, and for the log."""

import resource
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import psutil
import pytest

from tests.conftest import make_settings
from tests.support.crowd import persistently
from tests.support.faults import rounds
from tests.support.processes import Process
from tests.support.server import Server
from tests.support.traffic import TRUSTING
from tests.support.usage import Person, assert_unavailable, newcomer

pytestmark = [pytest.mark.fault, pytest.mark.gunicorn]

MEBIBYTE = 2**20
ROOM = 16 * MEBIBYTE

Fill = Callable[[Server], AbstractContextManager[None]]
"""Leave a server no disk space in the block."""


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of 16 MiB; without the right to mount one the test is skipped."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def filled(folder: Path) -> Iterator[None]:
    """Fill the disk to its last byte."""
    ballast = folder / "ballast"
    try:
        with ballast.open("wb", buffering=0) as file:
            for size in (MEBIBYTE, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(bytes(size))
        assert shutil.disk_usage(folder).free == 0
        yield
    finally:
        ballast.unlink()


@contextmanager
def no_longer_files(server: Server) -> Iterator[None]:
    """Forbid growth of the workers' files; the error differs from that of a full disk."""
    limit = resource.RLIM_INFINITY
    for pid in server.workers():
        psutil.Process(pid).rlimit(resource.RLIMIT_FSIZE, (0, limit))
    yield
    for pid in server.workers():
        psutil.Process(pid).rlimit(resource.RLIMIT_FSIZE, (limit, limit))


@pytest.fixture(params=["full disk", "no longer files"])
def place(
    request: pytest.FixtureRequest, sqlite_template: Path, tmp_path: Path
) -> Iterator[tuple[Path, Fill]]:
    """A database in a file, and the way to fill its disk."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "no longer files":
        shutil.copy(sqlite_template, folder / "test.db")
        yield folder / "test.db", no_longer_files
        return
    with small_disk(folder):
        shutil.copy(sqlite_template, folder / "test.db")
        yield folder / "test.db", lambda _: filled(folder)


def test_a_full_disk_is_reported_and_loses_nothing(
    place: tuple[Path, Fill], serve: Callable[..., Server]
) -> None:
    path, fill = place
    server = serve(f"sqlite:///{path}")
    person = newcomer(server)
    acknowledged = [person.name]
    for _ in range(rounds(2, at_most=20)):
        with fill(server):
            refused = register_until_refused(person, acknowledged)
            assert person.me().status_code == 200
            assert server.client().get("/healthz").status_code == 200
            assert_unavailable(person.login())
        assert persistently(lambda name=refused: person.register(name)).status_code == 201
        acknowledged.append(refused)
        assert persistently(person.login).status_code == 200
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    names = {name for (name,) in connection.execute("SELECT username FROM users")}
    connection.close()
    assert names == set(acknowledged)


def register_until_refused(person: Person, acknowledged: list[str]) -> str:
    """Register accounts until the disk is full; return the first name that was refused."""
    while True:
        name = f"p{uuid4().hex[:12]}"
        answer = person.register(name)
        if answer.status_code != 201:
            assert_unavailable(answer)
            return name
        acknowledged.append(name)


class SilentServer(Server):
    """A server whose log cannot be written."""

    def _start(self) -> Process:
        (self._folder / "stdout").symlink_to("/dev/full")
        return super()._start()

    def output(self) -> str:
        """Return its standard error."""
        return (self._folder / "stderr").read_text()


def test_a_log_that_cannot_be_written_fails_no_request(
    sqlite_template: Path, tmp_path: Path
) -> None:
    path = tmp_path / "test.db"
    shutil.copy(sqlite_template, path)
    settings = make_settings(f"sqlite:///{path}", tmp_path)
    server = SilentServer(settings, tmp_path / "server", {"WEB_CONCURRENCY": "2", **TRUSTING})
    try:
        server.wait_until_healthy()
        person = newcomer(server)
        assert person.me().status_code == 200
        assert person.refresh().status_code == 200
        assert server.client().get("/nowhere").status_code == 404
    finally:
        assert server.stop() == 0
