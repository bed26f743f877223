"""A folder that the processes of one run share: in memory if possible, and removed afterwards.

A killed process cannot remove its folder, so each start removes the folders of former runs. A
lock shows that a run is still alive: the kernel keeps it for a process and its forked children.
Process ids would not do, because the kernel reuses them.
"""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

MIN_FREE_BYTES = 16 << 20
"""The free bytes that `/dev/shm` must have to be used (chosen); containers have 64 MiB by default.
If the space runs out, a write to a mapped file there kills the process."""

_LOCK_NAME = "run.lock"

_held: dict[tuple[str, int], Path] = {}
"""The claimed folders by prefix and process id; a reloaded configuration keeps its folder."""


def claim(prefix: str) -> Path:
    """Return the folder of this process and its future children; only its user can open it.

    Args:
        prefix: the start of the folder's name; unlocked folders with this prefix are removed.

    Raises:
        OSError: the folder cannot be made.
    """
    key = (prefix, os.getpid())
    if key not in _held:
        base = _find_base()
        _remove_left(base, prefix)
        _held[key] = _make(base, prefix)
    return _held[key]


def release(prefix: str) -> None:
    """Remove the folder that this process claimed, if any, at the end of its run."""
    folder = _held.pop((prefix, os.getpid()), None)
    if folder is not None:
        shutil.rmtree(folder, ignore_errors=True)


def _find_base() -> Path:
    memory = Path("/dev/shm")
    has_room = os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= MIN_FREE_BYTES
    return memory if has_room else Path(tempfile.gettempdir())


def _make(base: Path, prefix: str) -> Path:
    """Make the folder under a hidden name, so that no other start finds it before it is locked."""
    unlocked = Path(tempfile.mkdtemp(prefix=f".{prefix}", dir=base))
    # Not closed: the lock lasts as long as a process has the file open.
    lock = os.open(unlocked / _LOCK_NAME, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return unlocked.rename(base / unlocked.name.removeprefix("."))


def _remove_left(base: Path, prefix: str) -> None:
    for folder in base.glob(f"{prefix}*"):
        # Ignore a folder of another user, or one that another start removes at the same time.
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
