"""A folder for what the processes of one run share: in memory, and gone when they are.

A process that is killed cleans nothing up, so each start removes what former runs left. Who
still runs is told by a lock, which the kernel keeps for a process and the children it forks;
process ids would be given out again.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

MIN_FREE_BYTES = 16 << 20
"""Memory with less room is left to others. Whoever maps a file there, and finds no room when it
writes, is killed; containers have 64 MiB by default (chosen)."""

_LOCK_NAME = "run.lock"

_held: dict[tuple[str, int], Path] = {}
"""By prefix and process: a configuration that is loaded anew goes on with the same folder."""


def claim(prefix: str) -> Path:
    """The folder of this process and of those that it will fork, for its owner only.

    Args:
        prefix: says whose it is; folders of the same prefix that nobody holds are removed.

    Raises:
        OSError: no folder can be made.
    """
    key = (prefix, os.getpid())
    if key not in _held:
        base = _find_base()
        _remove_left(base, prefix)
        _held[key] = _make(base, prefix)
    return _held[key]


def release(prefix: str) -> None:
    """Remove the folder that this process claimed, if it did: its run is over."""
    folder = _held.pop((prefix, os.getpid()), None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _find_base() -> Path:
    memory = Path("/dev/shm")
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MIN_FREE_BYTES
    return memory if has_room else Path(tempfile.gettempdir())


def _make(base: Path, prefix: str) -> Path:
    """Make it under another name, so that nobody finds it without its lock."""
    unlocked = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=base))
    # Not closed: the lock lasts as long as a process that has it open.
    lock = os.open(unlocked / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return unlocked.rename(base / unlocked.name.removeprefix("."))


def _remove_left(base: Path, prefix: str) -> None:
    for folder in base.glob(f"{prefix}*"):
        # Another user's, or one that another start removes at this moment, is none of ours.
        with suppress(OSError):
            if folder.lstat().st_uid == os.getuid() and not _is_held(folder / _LOCK_NAME):
                shutil.rmtree(folder)


def _is_held(path: Path) -> bool:
    lock = os.open(path, os.O_RDWR | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
