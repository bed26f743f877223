"""Logs: one JSON object a line on standard output, each with the id of its request."""

import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, TextIO

from pythonjsonlogger.json import JsonFormatter

correlation_id_var: ContextVar[str | None] = ContextVar("correlation_id", default=None)
"""The id of the request that this thread is handling."""

FIELDS = {"levelname": "level", "name": "logger", "message": "event"}


class JSONLineFormatter(JsonFormatter):
    """Time, level, logger, event, correlation id, and whatever the call gave as `extra`.

    JSON escapes control characters, so nothing that is logged can forge a line (ASVS 16.4.1).
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


class LineHandler(logging.Handler):
    """Writes each line with one system call, so that lines of several workers never mix.

    In a file opened for appending they never do; in a pipe up to PIPE_BUF bytes (4096 on Linux,
    pipe(7)), and longer ones as long as whoever reads the pipe keeps up.
    """

    def __init__(self, stream: Callable[[], TextIO] = lambda: sys.stdout) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; a log that cannot be written never fails whoever logs."""
        with suppress(Exception):
            _write(self._stream(), f"{self._format_any(record)}\n")

    def _format_any(self, record: logging.LogRecord) -> str:
        """The record's line; if its arguments do not fit its text, the text and the reason."""
        try:
            return self.format(record)
        except Exception:  # noqa: BLE001 - arguments may raise anything
            bare = {"levelno": record.levelno, "levelname": record.levelname, "name": record.name}
            substitute = {**bare, "msg": str(record.msg), "exc_info": sys.exc_info()}
            return self.format(logging.makeLogRecord(substitute))


def _write(stream: TextIO, line: str) -> None:
    try:
        descriptor = stream.fileno()
    except OSError:  # A stream in memory has none.
        stream.write(line)
        return
    rest = line.encode()
    while rest:  # A signal or a full disk can cut a write short.
        rest = rest[os.write(descriptor, rest) :]


def configure_logging(level: str, *, is_command: bool = False) -> None:
    """Send everything that is logged in this process to standard output, as JSON lines.

    Args:
        level: the name of the least severe level to keep.
        is_command: a `flask` command runs, whose standard output is its answer; it logs to
            standard error.
    """
    root = logging.getLogger()
    root.setLevel(level)
    # Alembic announces each of its own plugins when it is imported, which every command does.
    logging.getLogger("alembic.runtime.plugins").setLevel(logging.WARNING)
    if not any(isinstance(handler, LineHandler) for handler in root.handlers):
        handler = LineHandler((lambda: sys.stderr) if is_command else (lambda: sys.stdout))
        handler.setFormatter(JSONLineFormatter())
        root.addHandler(handler)
