"""What the web workers of one gunicorn count, in files that each of them can read.

prometheus_client keeps a file a worker and kind of metric, in a folder that it is told by a
variable of the environment before it is imported (`gunicorn.conf.py` does), and sums them.
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
"""The library's own; an operator need not set it."""

ENDED = "ended"
"""In place of a process id: the file with the counts of all workers that have ended."""

_OVERHEAD = 64
"""More than a file and each of its entries take beside the key."""

_ended: set[int] = set()
"""Workers that have ended, and whose counts are still in files of their own."""

logger = logging.getLogger(__name__)


def find_shared_folder() -> Path | None:
    """Where the workers of this gunicorn keep their files, or None in a process by itself."""
    folder = os.environ.get(FOLDER_VARIABLE)
    return Path(folder) if folder else None


def read_all_workers(folder: Path) -> Iterable[Metric]:
    """What all workers have counted since the start, and how the live ones are doing."""
    with _lock(folder, fcntl.LOCK_SH):
        metrics: list[Metric] = list(MultiProcessCollector(None, str(folder)).collect())  # type: ignore[no-untyped-call]
    return metrics


def forget_worker(pid: int, *, alive: Collection[int]) -> None:
    """Drop what an ended worker said of itself, and keep what it counted; only in the master.

    Its counts move to one file for all that have ended. Otherwise every worker that is replaced
    in time (`max_requests`) would leave some files, and each scrape would read them all.

    Args:
        alive: the workers that run; a process id may have been given out again.
    """
    folder = find_shared_folder()
    if folder is None:
        return
    _ended.add(pid)
    _ended.difference_update(alive)
    try:
        mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]
        # The master waits for nobody: if a worker is reading now, the next end does this one's.
        with _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB):
            for kind in ("counter", "histogram"):
                _merge_ended(folder, kind)
        _ended.clear()
    except BlockingIOError:
        pass
    except Exception:
        # An error here would end the master, and metrics are not worth a service.
        logger.exception("the metrics of an ended worker could not be kept")


def _merge_ended(folder: Path, kind: str) -> None:
    """Add the files of ended workers up, by key; both kinds are sums."""
    ended = [path for pid in _ended if (path := folder / f"{kind}_{pid}.db").exists()]
    if not ended:
        return
    merged = folder / f"{kind}_{ENDED}.db"
    sources = [path for path in (merged, *ended) if path.exists()]
    sums: dict[str, float] = defaultdict(float)
    for path in sources:
        for key, value, _, _ in MmapedDict.read_all_values_from_file(path):  # type: ignore[no-untyped-call]
            sums[key] += value
    partial = folder / f"{kind}_{ENDED}.partial"
    _write(partial, sums)
    partial.replace(merged)
    for path in ended:
        path.unlink()


def _write(path: Path, sums: dict[str, float]) -> None:
    with suppress(FileNotFoundError):
        path.unlink()
    with path.open("wb") as file:
        # Room is taken first: a full disk is an error here, and the end of a process that
        # writes to its memory.
        os.posix_fallocate(file.fileno(), 0, sum(len(key.encode()) + _OVERHEAD for key in sums))
    values = MmapedDict(str(path))  # type: ignore[no-untyped-call]
    for key, value in sums.items():
        values.write_value(key, value, 0.0)  # type: ignore[no-untyped-call]
    values.close()  # type: ignore[no-untyped-call]


@contextmanager
def _lock(folder: Path, mode: int) -> Iterator[None]:
    """Keep reading and merging apart, or a scrape would count a worker twice.

    Raises:
        BlockingIOError: somebody has it, and `mode` says not to wait.
    """
    lock = os.open(folder / "merge.lock", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(lock, mode)
        yield
    finally:
        os.close(lock)
