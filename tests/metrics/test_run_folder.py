"""A folder that lasts as long as a process of its run."""

import multiprocessing
import os
import signal
import stat
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import pytest

from authserve.metrics import run_folder

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def prefix() -> str:
    return f"authserve-test-{uuid4().hex}-"


def folders(prefix: str, folder: Path) -> list[Path]:
    return sorted(folder.parent.glob(f"{prefix}*"))


def claim_and_say(prefix: str, pipe: object) -> None:
    pipe.send(run_folder.claim(prefix))  # type: ignore[attr-defined]
    signal.pause()


def test_it_is_its_owners_alone_and_stays_the_same(prefix: str) -> None:
    folder = run_folder.claim(prefix)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.name.startswith(prefix)
    assert run_folder.claim(prefix) == folder
    run_folder.release(prefix)
    assert not folder.exists()
    run_folder.release(prefix)


@pytest.mark.parametrize("lacking", [0, 1])
def test_it_is_in_memory_where_16_mib_are_free(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, prefix: str, lacking: int
) -> None:
    disk = SimpleNamespace(free=16 * 1024 * 1024 - lacking)
    monkeypatch.setattr(run_folder.shutil, "disk_usage", lambda _: disk)
    monkeypatch.setattr(run_folder.tempfile, "gettempdir", lambda: str(tmp_path))
    folder = run_folder.claim(prefix)
    run_folder.release(prefix)
    assert folder.parent == (tmp_path if lacking else Path("/dev/shm"))


def test_a_folder_whose_process_was_killed_is_removed_by_the_next(prefix: str) -> None:
    ours, theirs = FORK.Pipe()
    process = FORK.Process(target=claim_and_say, args=(prefix, theirs))
    process.start()
    left = ours.recv()
    own = run_folder.claim(prefix)
    assert folders(prefix, own) == sorted([left, own])
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    run_folder.release(prefix)
    own = run_folder.claim(prefix)
    assert folders(prefix, own) == [own]
    run_folder.release(prefix)


def test_a_child_keeps_the_folder_of_its_parent(prefix: str) -> None:
    """Workers whose master was killed do so."""
    ours, theirs = FORK.Pipe()

    def claim_and_fork() -> None:
        folder = run_folder.claim(prefix)
        child = os.fork()
        if child:
            theirs.send((folder, child))
            os._exit(0)
        signal.pause()

    process = FORK.Process(target=claim_and_fork)
    process.start()
    held, child = ours.recv()
    process.join()
    own = run_folder.claim(prefix)
    assert folders(prefix, own) == sorted([held, own])
    os.kill(child, signal.SIGKILL)
    run_folder.release(prefix)
    held.joinpath("run.lock").unlink()
    held.rmdir()
