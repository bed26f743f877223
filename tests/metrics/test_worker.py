"""The thread of a web worker that updates its gauges."""

import pytest
from flask import Flask

from authserve.metrics import worker
from authserve.metrics.counting import METRICS


def test_it_samples_every_second(app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[float | str] = []

    def pause(secs: float) -> None:
        done.append(secs)
        if len(done) == 4:
            raise InterruptedError

    monkeypatch.setattr(METRICS.of(app), "sample", lambda: done.append("sample"))
    monkeypatch.setattr(worker.time, "sleep", pause)
    with pytest.raises(InterruptedError):
        worker._sample_on(app, METRICS.of(app))
    assert done == ["sample", 1.0] * 2
