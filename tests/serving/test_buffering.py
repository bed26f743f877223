"""The settings that the worker refuses, and the log line of its own faults."""

import logging
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from authserve.serving.buffering import BufferingWorker
from authserve.serving.refusals import INTERNAL, known_in_bytes, refusal_of


def config(**changes: object) -> Config:
    found = Config()
    for name, value in changes.items():
        found.set(name, value)
    return found


def test_tls_stops_the_start() -> None:
    with pytest.raises(RuntimeError, match="certfile"):
        BufferingWorker.check_config(config(certfile="cert.pem"), logging)


def test_the_checks_of_gunicorn_stay(caplog: pytest.LogCaptureFixture) -> None:
    BufferingWorker.check_config(config(threads=4, worker_connections=4), logging)
    assert "No keepalived connections" in caplog.text


def test_an_unexpected_error_is_logged_with_its_traceback_and_its_client(
    caplog: pytest.LogCaptureFixture,
) -> None:
    worker: Any = SimpleNamespace(log=logging.getLogger())
    error = ZeroDivisionError("a fault")
    refusal = refusal_of(error)
    assert refusal is INTERNAL
    BufferingWorker._log_refusal(worker, refusal, known_in_bytes(b""), reason=error, ip="192.0.2.1")
    (record,) = caplog.records
    assert (record.message, record.exc_info) == ("unhandled error", (type(error), error, None))
    found = [getattr(record, name) for name in ("status", "code", "reason", "ip")]
    assert found == [500, "internal_error", "ZeroDivisionError", "192.0.2.1"]
