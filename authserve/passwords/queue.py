"""The hashing thread of a process, and its bounded queue of callers."""

import os
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from contextvars import copy_context
from typing import TypeVar

from authserve.core.clock import waited_secs
from authserve.core.errors import UnavailableError

_T = TypeVar("_T")

MAX_WAIT_SECS = 2.0
"""Longest wait in seconds for a request thread and then for the hashing thread; after it the caller
gets `busy` (chosen; docs/operating.md, "Timeouts")."""

COMMAND_WAIT_SECS = 60.0
"""The same for a `flask` command. It has no other callers, and on a busy machine two seconds may
pass before its hashing thread gets a turn (chosen)."""


class HasherBusyError(UnavailableError):
    """The process cannot hash this password in time: too many callers, or too little memory."""

    code = "busy"
    default_detail = "Too many passwords are being checked right now. Try again shortly."


class HashingQueue:
    """The hashing thread of one process, with a bounded queue of callers.

    One thread, because more threads hash no faster on busy cores, take processor time from token
    checks, and need 19 MiB each (measured).
    """

    def __init__(self, *, size: int, niceness: int, max_wait_secs: float) -> None:
        self.waiting = 0
        self._waiting_unknown = 0
        self._held: Counter[str] = Counter()
        self._size = size
        self._size_unknown = size - size // 4
        self._max_wait_secs = max_wait_secs
        self._lock = threading.Lock()
        # The executor starts its thread at the first job.
        self._executor = ThreadPoolExecutor(
            max_workers=1,
            thread_name_prefix="hashing",
            initializer=_make_thread_nice,
            initargs=(niceness,),
        )

    def run(
        self, work: Callable[[], _T], *, is_known_caller: bool, network: str | None = None
    ) -> _T:
        """Run `work` on the hashing thread, in the caller's context, for its id in log lines.

        Args:
            work: the hashing.
            is_known_caller: True if the caller may use the reserved quarter of the queue.
            network: the caller's network. It may hold no more places than are still free: alone
                it gets at most half of them, and less the fuller the queue is. None is not
                counted.

        Raises:
            HasherBusyError: the queue is full, the wait was too long, or memory is short.
        """
        patience_secs = self._max_wait_secs - waited_secs()
        if patience_secs <= 0:
            raise HasherBusyError
        with self._place(is_known_caller=is_known_caller, network=network):
            future = self._executor.submit(copy_context().run, work)
            wait([future], timeout=patience_secs)
            # cancel() returns False once the work has begun: then its end is awaited.
            if future.cancel():
                raise HasherBusyError
            try:
                return future.result()
            except MemoryError as error:
                raise HasherBusyError from error

    @contextmanager
    def _place(self, *, is_known_caller: bool, network: str | None) -> Iterator[None]:
        unknown = 0 if is_known_caller else 1
        with self._lock:
            held = self._held[network] if network is not None else 0
            if self._count_free(is_known_caller=is_known_caller) <= held:
                raise HasherBusyError
            self._count(1, unknown, network)
        try:
            yield
        finally:
            with self._lock:
                self._count(-1, -unknown, network)

    def _count_free(self, *, is_known_caller: bool) -> int:
        free = self._size - self.waiting
        return free if is_known_caller else min(free, self._size_unknown - self._waiting_unknown)

    def _count(self, places: int, unknown: int, network: str | None) -> None:
        self.waiting += places
        self._waiting_unknown += unknown
        if network is not None:
            self._held[network] += places
            if not self._held[network]:
                del self._held[network]


def _make_thread_nice(niceness: int) -> None:
    # On other systems the call would change a process, and not even this one.
    if sys.platform == "linux":
        # Refused if the process already has a higher niceness; then that one stays.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
