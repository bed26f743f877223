"""Logs: one JSON object a line, for any value and with a failing stream."""

import io
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any, TextIO
from uuid import uuid4

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from authserve.core.logs import (
    JSONLineFormatter,
    LineHandler,
    configure_logging,
    correlation_id_var,
)
from tests.support.crowd import DEADLINE_SECS, all_at_once


def logger_to(stream: TextIO) -> logging.Logger:
    """A logger that writes lines to `stream` and nowhere else."""
    handler = LineHandler(lambda: stream)
    handler.setFormatter(JSONLineFormatter())
    logger = logging.Logger("authserve.probe")  # noqa: LOG001 - the test's own, registered nowhere
    logger.addHandler(handler)
    return logger


def written(log: Callable[[logging.Logger], object]) -> list[dict[str, Any]]:
    """Return the objects that `log` wrote, one for each line."""
    stream = io.StringIO()
    log(logger_to(stream))
    text = stream.getvalue()
    assert text.endswith("\n")
    return [json.loads(line) for line in text.split("\n")[:-1]]


def test_a_line_has_the_fields_of_the_design(clock: time_machine.Traveller) -> None:
    lines = written(lambda logger: logger.warning("key rotated", extra={"kid": "k1"}))
    assert lines == [
        {
            "level": "WARNING",
            "logger": "authserve.probe",
            "event": "key rotated",
            "time": "2030-01-01T12:00:00+00:00",
            "correlation_id": None,
            "kid": "k1",
        }
    ]


def test_a_line_is_ascii() -> None:
    stream = io.StringIO()
    logger_to(stream).info("ünï\u2028cödé \ud800", extra={"name_": "ß"})
    assert stream.getvalue().isascii()


def test_a_line_carries_the_id_of_its_request() -> None:
    token = correlation_id_var.set("abc-123")
    try:
        assert written(lambda logger: logger.info("event"))[0]["correlation_id"] == "abc-123"
    finally:
        correlation_id_var.reset(token)


def test_each_thread_has_the_id_of_its_own_request() -> None:
    def handle_request() -> tuple[str, Any]:
        correlation_id = uuid4().hex
        correlation_id_var.set(correlation_id)
        return correlation_id, written(lambda logger: logger.info("event"))[0]["correlation_id"]

    seen = all_at_once([handle_request] * 8)
    assert all(own == logged for own, logged in seen)


FORGED = '\n{"level": "INFO", "logger": "authserve", "event": "session.started"}\r\n\x1b[2J\x00\x85'


def test_nothing_that_is_logged_forges_a_line() -> None:
    def log(logger: logging.Logger) -> None:
        logger.info("user agent: %s", FORGED)
        logger.info(FORGED)
        logger.info("event", extra={"user_agent": FORGED, FORGED: 1, "list": [FORGED]})

    first, second, third = written(log)
    assert first["event"] == f"user agent: {FORGED}"
    assert second["event"] == FORGED
    assert third["user_agent"] == FORGED
    assert {line["logger"] for line in (first, second, third)} == {"authserve.probe"}


@given(st.text(), st.text(), st.text())
def test_any_text_comes_back_from_one_line(message: str, argument: str, value: str) -> None:
    def log(logger: logging.Logger) -> None:
        logger.info("%s|%s", message, argument, extra={"extra_value": value})

    (line,) = written(log)
    assert line["event"] == f"{message}|{argument}"
    assert line["extra_value"] == value


def test_an_exception_stays_inside_its_line() -> None:
    def log(logger: logging.Logger) -> None:
        try:
            try:
                raise KeyError("first\nforged")
            except KeyError as error:
                raise ValueError(FORGED) from error
        except ValueError:
            logger.exception("failed", stack_info=True)

    (line,) = written(log)
    assert line["level"] == "ERROR"
    assert line["exc_info"].startswith("Traceback")
    assert "KeyError: 'first\\nforged'" in line["exc_info"]
    assert line["exc_info"].endswith(FORGED)
    assert "Stack (most recent call last)" in line["stack_info"]


class Unprintable:
    """An object whose `repr` fails."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


def test_arguments_that_do_not_fit_lose_neither_the_event_nor_the_caller() -> None:
    def log(logger: logging.Logger) -> None:
        logger.warning("%d attempts", "many")
        logger.warning("by %s", Unprintable())

    first, second = written(log)
    assert (first["level"], first["event"]) == ("WARNING", "%d attempts")
    assert "TypeError" in first["exc_info"]
    assert second["event"] == "by %s"


class BrokenStream(io.TextIOBase):
    """A stream whose every use fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def fileno(self) -> int:
        raise self._error

    def write(self, _text: str) -> int:
        raise self._error


@pytest.mark.parametrize(
    "error", [OSError("disk full"), ValueError("closed"), RuntimeError(), MemoryError()], ids=repr
)
def test_a_stream_that_fails_never_fails_the_caller(error: Exception) -> None:
    logger_to(BrokenStream(error)).error("event", extra={"value": 1})  # type: ignore[arg-type]


@pytest.fixture
def broken_pipe() -> Iterator[TextIO]:
    """A pipe whose reader has closed it."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        yield stream


def test_a_reader_that_went_away_never_fails_the_caller(
    broken_pipe: TextIO, capfd: pytest.CaptureFixture[str]
) -> None:
    logger_to(broken_pipe).error("event")
    assert capfd.readouterr() == ("", ""), "and nothing is written elsewhere"


def test_a_process_without_standard_output_logs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = LineHandler()
    monkeypatch.setattr(sys, "stdout", None)
    handler.handle(logging.makeLogRecord({"msg": "event"}))


@pytest.fixture
def full_pipe() -> Iterator[tuple[int, TextIO]]:
    """A pipe that takes a few bytes at a time, and never waits."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    os.set_blocking(reader, False)
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
    os.close(reader)


def test_a_pipe_that_is_full_loses_lines_rather_than_requests(
    full_pipe: tuple[int, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("authserve.core.logs.MAX_WAIT_SECS", 0.01)
    reader, stream = full_pipe
    logger = logger_to(stream)
    for _ in range(200):
        logger.info("event", extra={"padding": "x" * 1000})
    lines = os.read(reader, 2**20).decode().split("\n")
    assert len(lines) > 10
    assert all(json.loads(line)["padding"] == "x" * 1000 for line in lines[:-1])


@pytest.fixture
def unread_pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, TextIO]]:
    """A pipe whose writers wait for the reader, as standard output is."""
    monkeypatch.setattr("authserve.core.logs.MAX_WAIT_SECS", 0.01)
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        yield reader, stream
    os.close(reader)


@pytest.mark.parametrize("size", [100, 3_000, 9_000, 70_000])
def test_a_reader_that_has_stopped_blocks_no_caller(
    unread_pipe: tuple[int, TextIO], size: int
) -> None:
    reader, stream = unread_pipe
    logger, count = logger_to(stream), 400_000 // size + 100

    def log_all() -> None:
        for _ in range(count):
            logger.info("event", extra={"padding": "x" * size})

    caller = Thread(target=log_all, daemon=True)
    caller.start()
    caller.join(DEADLINE_SECS)
    assert not caller.is_alive()
    os.set_blocking(reader, False)
    arrived = os.read(reader, 2**20).decode()
    logger.info("reading again")
    *lines, last = (arrived + os.read(reader, 2**20).decode()).splitlines()
    assert json.loads(last)["event"] == "reading again"
    note = json.loads(lines.pop())
    assert note["event"] == "log lines were lost: standard output was full"
    whole = [line for line in lines if line.endswith("}")]
    assert all(json.loads(line)["padding"] == "x" * size for line in whole)
    assert len(whole) + note["lines"] == count
    assert len(lines) <= len(whole) + 1, "one line at most is cut"


def test_a_write_that_was_cut_short_is_continued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:7]))
    path = tmp_path / "log"
    with path.open("a") as stream:
        logger_to(stream).info("event", extra={"padding": "x" * 100})
    monkeypatch.undo()
    assert json.loads(path.read_text())["padding"] == "x" * 100


WRITERS, LINES = 4, 200


def write_in_a_fork(stream: TextIO, name: str, *, size: int) -> int:
    """The process id of a child that logs `LINES` lines and ends."""
    pid = os.fork()
    if pid == 0:
        try:
            write_lines(logger_to(stream), name, size=size)
        finally:
            os._exit(0)
    return pid


def write_lines(logger: logging.Logger, name: str, *, size: int) -> None:
    for number in range(LINES):
        logger.info("event", extra={"writer": name, "number": number, "padding": name * size})


def assert_whole(text: str, *, size: int) -> None:
    lines = [json.loads(line) for line in text.split("\n")[:-1]]
    assert len(lines) == WRITERS * LINES
    assert all(line["padding"] == line["writer"] * size for line in lines)
    for name in "abcd":
        numbers = [line["number"] for line in lines if line["writer"] == name]
        assert numbers == list(range(LINES))


@pytest.mark.parametrize("size", [10, 20_000])
def test_lines_of_several_processes_never_mix_in_a_file(tmp_path: Path, size: int) -> None:
    path = tmp_path / "log"
    with path.open("a") as stream:
        for pid in [write_in_a_fork(stream, name, size=size) for name in "abcd"]:
            os.waitpid(pid, 0)
    assert_whole(path.read_text(), size=size)


def test_lines_of_several_processes_never_mix_in_a_pipe() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream:
        pids = [write_in_a_fork(stream, name, size=3_000) for name in "abcd"]
    with os.fdopen(reader) as lines:
        text = lines.read()
    for pid in pids:
        os.waitpid(pid, 0)
    assert_whole(text, size=3_000)


def test_lines_of_several_threads_never_mix(tmp_path: Path) -> None:
    path = tmp_path / "log"

    with path.open("a") as stream:
        logger = logger_to(stream)
        all_at_once([partial(write_lines, logger, name, size=5_000) for name in "abcd"])
    assert_whole(path.read_text(), size=5_000)


# The process's own logging


@pytest.fixture
def unconfigured() -> Iterator[logging.Logger]:
    """A root logger that is not set up yet."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers[:] = []
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)


def test_it_logs_to_standard_output_once_however_often_it_is_configured(
    unconfigured: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    for level in ("WARNING", "INFO", "INFO"):
        configure_logging(level)
    logging.getLogger("authserve.probe").info("event")
    logging.getLogger("authserve.probe").debug("detail")
    out, err = capfd.readouterr()
    assert [json.loads(line)["event"] for line in out.splitlines()] == ["event"]
    assert err == ""


def test_a_command_keeps_standard_output_for_its_answer(
    unconfigured: logging.Logger, capfd: pytest.CaptureFixture[str]
) -> None:
    configure_logging("INFO", is_command=True)
    logging.getLogger("authserve.probe").info("event")
    out, err = capfd.readouterr()
    assert out == ""
    assert json.loads(err)["event"] == "event"


def test_the_time_of_a_line_is_in_utc() -> None:
    (line,) = written(lambda logger: logger.info("event"))
    assert datetime.fromisoformat(line["time"]).utcoffset() == datetime.now(UTC).utcoffset()
