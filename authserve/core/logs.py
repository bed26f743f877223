"""Logs: one JSON object a line on standard output, each with the id of its request."""

import fcntl
import logging
import os
import select
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from struct import calcsize, unpack
from termios import FIONREAD
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

correlation_id_var: ContextVar[str | None] = ContextVar("correlation_id", default=None)
"""The correlation id of the request that this thread handles."""

FIELDS = {"levelname": "level", "name": "logger", "message": "event"}


class JSONLineFormatter(JsonFormatter):
    """A formatter for time, level, logger, event, correlation id and the call's `extra`.

    JSON escapes control characters, so no logged value can forge a line (ASVS 16.4.1).
    """

    def __init__(self) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s", rename_fields=FIELDS, timestamp="time"
        )

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        """Add the correlation id to the record's own fields."""
        super().add_fields(log_data, record, message_dict)
        log_data.setdefault("correlation_id", correlation_id_var.get())


MAX_WAIT_SECS = 1.0
"""Seconds for which a line waits for a full pipe (chosen: longer than a collector of logs pauses,
and as long as a call waits for a thread)."""

NO_WAIT_SECS = 60.0
"""Seconds after a lost line in which no line waits (chosen). A collector that has stopped, or that
is slower than the service, then costs each worker one wait a minute."""


class LineHandler(logging.Handler):
    """A handler that writes each line with one system call, so that workers' lines do not mix.

    In a file opened for appending, lines never mix. In a pipe, lines up to PIPE_BUF bytes (4096 on
    Linux, pipe(7)) never mix, and longer ones do not while the reader keeps up.

    A reader that has stopped blocks no caller: lines that a full pipe does not take are lost, and a
    line with their number follows once the pipe takes lines again.
    """

    def __init__(self, stream: Callable[[], TextIO] = lambda: sys.stdout) -> None:
        super().__init__()
        self._stream = stream
        self._lost = 0
        self._is_cut = False
        self._no_wait_until = float("-inf")

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; an error while writing never reaches the code that logs."""
        with suppress(Exception):
            self._write(self._stream(), f"{self._format_any(record)}\n")

    def _format_any(self, record: logging.LogRecord) -> str:
        """Return the record's line, or the bare text and the error if formatting fails."""
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001 - arguments may raise anything
            bare = {"levelno": record.levelno, "levelname": record.levelname, "name": record.name}
            substitute = {**bare, "msg": str(record.msg), "exc_info": sys.exc_info()}
            return self.format(logging.makeLogRecord(substitute))

    def _write(self, stream: TextIO, line: str) -> None:
        try:
            descriptor = stream.fileno()
        except OSError:  # A stream in memory has none.
            stream.write(line)
            return
        if not self._has_room(descriptor):
            self._lost += 1
            return
        self._write_bytes(descriptor, f"{self._end_outage()}{line}".encode())

    def _end_outage(self) -> str:
        """Return the end of a line that was cut, and a line with the number of lost ones."""
        end = "\n" if self._is_cut else ""
        if self._lost:
            bare = {"levelno": logging.WARNING, "levelname": "WARNING", "name": __name__}
            text = {"msg": "log lines were lost: standard output was full", "lines": self._lost}
            end += f"{self.format(logging.makeLogRecord({**bare, **text}))}\n"
        self._is_cut, self._lost = False, 0
        return end

    def _write_bytes(self, descriptor: int, rest: bytes) -> None:
        is_whole = _fits(descriptor, len(rest))
        while rest:  # A signal or a full disk can cut a write short.
            rest = rest[os.write(descriptor, rest if is_whole else rest[: select.PIPE_BUF]) :]
            if rest and not self._has_room(descriptor):
                self._is_cut = True
                self._lost += 1
                return

    def _has_room(self, descriptor: int) -> bool:
        """Return True if PIPE_BUF bytes can be written at once; wait for `MAX_WAIT_SECS` at most.

        A file always has room, and a descriptor whose reader is gone fails at the write.
        """
        room = select.poll()
        room.register(descriptor, select.POLLOUT)
        is_patient = time.monotonic() >= self._no_wait_until
        if room.poll(MAX_WAIT_SECS * 1000 if is_patient else 0):
            return True
        self._no_wait_until = time.monotonic() + NO_WAIT_SECS
        return False


def _fits(descriptor: int, size: int) -> bool:
    """Return True if a write of `size` bytes does not wait, given room for PIPE_BUF bytes.

    A pipe holds whole pages, so half of it may be lost to lines that end early. A socket that
    reports room has far more than a line needs.
    """
    if size <= select.PIPE_BUF:
        return True
    try:
        capacity = fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ)
        raw = fcntl.ioctl(descriptor, FIONREAD, bytes(calcsize("i")))
    except (AttributeError, OSError):  # It is no pipe, or the system does not tell.
        return True
    unread: int = unpack("i", raw)[0]
    return 2 * (unread + size) <= capacity


def configure_logging(level: str, *, is_command: bool = False) -> None:
    """Write all log records of this process to standard output, as JSON lines.

    Args:
        level: the name of the least severe level to keep.
        is_command: True for a `flask` command; it logs to standard error, because its standard
            output carries its result.
    """
    root = logging.getLogger()
    root.setLevel(level)
    # Alembic logs each of its plugins when it is imported, and every command imports it.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    if not any(isinstance(handler, LineHandler) for handler in root.handlers):
        handler = LineHandler((lambda: sys.stderr) if is_command else (lambda: sys.stdout))
        handler.setFormatter(JSONLineFormatter())
        root.addHandler(handler)
