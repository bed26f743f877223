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


class LineHandler(logging.Handler):
    """A handler that writes each line with one system call, so that workers' lines do not mix.

    In a file opened for appending, lines never mix. In a pipe, lines up to PIPE_BUF bytes (4096 on
    Linux, pipe(7)) never mix, and longer ones do not while the reader keeps up.
    """

    def __init__(self, stream: Callable[[], TextIO] = lambda: sys.stdout) -> None:
        super().__init__()
        self._stream = stream

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line; an error while writing never reaches the code that logs."""
        with suppress(Exception):
            _write(self._stream(), f"{self._format_any(record)}\n")

    def _format_any(self, record: logging.LogRecord) -> str:
        """Return the record's line, or the bare text and the error if formatting fails."""
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
