"""The metric files that the web workers of one gunicorn share.

prometheus_client keeps one file per worker and kind of metric and sums them. It takes the folder
from an environment variable, which `gunicorn.conf.py` sets before the import.
"""

import fcntl
import logging
import os
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable of prometheus_client; an operator need not set it."""

ENDED = "ended"
"""The name in place of a process id, for the files with the sums of all ended workers."""

_OVERHEAD = 64
"""An upper bound, in bytes, of what an entry takes beside its key."""

_ended: set[int] = set()
"""The process ids of ended workers whose files are not merged yet."""

logger = logging.getLogger(__name__)


def find_shared_folder() -> Path | None:
    """Return the folder of the workers' files, or None in a process without gunicorn."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else None


def read_all_workers(folder: Path) -> Iterable[Metric]:
    """Return the sums of all workers since the start, and the gauges of live workers."""
    with _lock(folder, fcntl.LOCK_SH):
        files = [str(path) for path in folder.glob("*.db") if _has_values(path)]
        metrics: Iterable[Metric] = MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]
    return metrics


def _has_values(path: Path) -> bool:
    """Return False for a file that its worker has just made, and not sized yet.

    prometheus_client fails at such a file, which also stays if its worker is killed at that moment
    (client_python#1199). A file of a live worker's gauges may be gone already.
    """
    try:
        return path.stat().st_size > 0
    except FileNotFoundError:
        return False


def forget_worker(pid: int, *, alive: Collection[int]) -> None:
    """Delete an ended worker's gauges and keep its counts; call it in the master only.

    The counts move to one file for all ended workers. Otherwise every replaced worker
    (`max_requests`) would leave files behind, and each scrape would read them all.

    Args:
        alive: the process ids of running workers, which may reuse the id of an ended one.
    """
    folder = find_shared_folder()
    if folder is None:
        return
    _ended.add(pid)
    _ended.difference_update(alive)
    try:
        mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        # The master must not wait: if a worker reads now, the next call merges these files.
        with _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for kind in ("counter", "histogram"):
                _merge_ended(folder, kind)
        _ended.clear()
    except BlockingIOError:
        pass
    except Exception:
        # An error here would end the master: losing metrics is better than losing the service.
        logger.exception("the metrics of an ended worker could not be kept")


def _merge_ended(folder: Path, kind: str) -> None:
    """Add the values in the files of ended workers by key; both kinds of metric are sums."""
    ended = [path for pid in _ended if (path := folder / f"{kind}_{pid}.db").exists()]
    counted = [path for path in ended if _has_values(path)]
    if counted:
        _add_to_merged(folder, kind, counted)
    for path in ended:
        path.unlink()


def _add_to_merged(folder: Path, kind: str, counted: Iterable[Path]) -> None:
    merged = folder / f"{kind}_{ENDED}.db"
    sources = [merged, *counted] if merged.exists() else counted
    sums: dict[str, float] = defaultdict(float)
    for path in sources:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
            sums[key] += value
    partial = folder / f"{kind}_{ENDED}.partial"
    _write(partial, sums)
    partial.replace(merged)


def _write(path: Path, sums: dict[str, float]) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    with path.open("wb") as file:
        # Reserve the space first: here a full disk is an error, but a write to mapped memory
        # would kill the process.
        os.posix_fallocate(file.fileno(), 0, sum(len(key.encode()) + _OVERHEAD for key in sums))
    values = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        values.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]


@contextmanager
def _lock(folder: Path, mode: int) -> Iterator[None]:
    """Keep reading and merging apart: otherwise a scrape could count a worker twice.

    Args:
        mode: the operation of `flock`.

    Raises:
        BlockingIOError: another process holds the lock, and `mode` includes `LOCK_NB`.
    """
    lock = os.open(folder / "merge.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, mode)
        yield
    finally:
        os.close(lock)
