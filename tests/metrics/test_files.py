"""The files of workers that ended: added up, despite other files and errors."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from authserve.metrics import files
from authserve.metrics.files import ENDED, forget_worker, read_all_workers

NAME = "authserve_tests"

Count = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for the counters of this process's workers."""
    monkeypatch.setenv(files.FOLDER_VARIABLE, str(tmp_path))
    monkeypatch.setattr(files, "_ended", set())
    return tmp_path


@pytest.fixture
def count(folder: Path) -> Count:
    """Return a function that counts as the worker with a given process id."""

    def write(pid: int, value: float, *, kind: str = "counter", label: str = "a") -> Path:
        path = folder / f"{kind}_{pid}.db"
        series = f"{NAME}_bucket" if kind == "histogram" else f"{NAME}_total"
        name = "le" if kind == "histogram" else "label"
        values = MmapedDict(str(path))
        values.write_value(mmap_key(NAME, series, [name], [label], "Tests."), value, 0.0)
        values.close()
        return path

    return write


def sums(folder: Path) -> dict[tuple[str, ...], float]:
    return {
        (sample.name, *sample.labels.values()): sample.value
        for metric in read_all_workers(folder)
        for sample in metric.samples
    }


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.db")}


def test_ended_workers_share_one_file_and_lose_nothing(folder: Path, count: Count) -> None:
    for pid, value in ((101, 1.0), (102, 20.0), (103, 300.0)):
        count(pid, value)
    count(102, 7.0, kind="counter", label="b")
    before = sums(folder)
    assert before == {(f"{NAME}_total", "a"): 321.0, (f"{NAME}_total", "b"): 7.0}
    for pid, left in ((101, {102, 103}), (102, {103})):
        forget_worker(pid, alive=left)
        assert names(folder) == {f"counter_{ENDED}.db", *(f"counter_{p}.db" for p in left)}
        assert sums(folder) == before


def test_buckets_are_added_up_one_by_one(folder: Path, count: Count) -> None:
    for pid in (101, 102):
        for bound, value in (("0.1", 1.0), ("+Inf", 2.0)):
            count(pid, value, kind="histogram", label=bound)
    before = sums(folder)
    assert before[(f"{NAME}_bucket", "+Inf")] == 6
    forget_worker(101, alive=())
    forget_worker(102, alive=())
    assert names(folder) == {f"histogram_{ENDED}.db"}
    assert sums(folder) == before


def test_many_ended_workers_take_no_more_room_than_few(folder: Path, count: Count) -> None:
    sizes = []
    for pid in range(101, 131):
        count(pid, 1.0)
        forget_worker(pid, alive=())
        sizes.append((folder / f"counter_{ENDED}.db").stat().st_size)
    assert sizes[-1] == sizes[0]
    assert sums(folder) == {(f"{NAME}_total", "a"): 30.0}


def test_gauges_of_an_ended_worker_are_gone(folder: Path, count: Count) -> None:
    gauge = count(101, 5.0, kind="gauge_livesum")
    other = count(102, 5.0, kind="gauge_livesum")
    forget_worker(101, alive={102})
    assert (gauge.exists(), other.exists()) == (False, True)


def test_the_master_waits_for_no_scrape(folder: Path, count: Count) -> None:
    count(101, 1.0)
    with files._lock(folder, fcntl.LOCK_SH):
        forget_worker(101, alive=())
        assert names(folder) == {"counter_101.db"}
    count(102, 2.0)
    forget_worker(102, alive=())
    assert names(folder) == {f"counter_{ENDED}.db"}
    assert sums(folder) == {(f"{NAME}_total", "a"): 3.0}


def test_a_process_id_that_was_given_out_again_keeps_its_file(folder: Path, count: Count) -> None:
    count(101, 1.0)
    with files._lock(folder, fcntl.LOCK_SH):
        forget_worker(101, alive=())
    count(102, 2.0)
    forget_worker(102, alive={101})
    assert names(folder) == {"counter_101.db", f"counter_{ENDED}.db"}


def test_a_damaged_file_ends_no_master(
    folder: Path, count: Count, caplog: pytest.LogCaptureFixture
) -> None:
    damaged = count(101, 1.0)
    damaged.write_bytes(b"\x40\x00\x00\x00" + b"\xff" * 60)
    forget_worker(101, alive=())
    assert "could not be kept" in caplog.text
    assert damaged.exists()


def test_a_worker_that_counted_nothing_leaves_nothing(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    forget_worker(101, alive=())
    assert names(folder) == set()
    assert caplog.text == ""


def test_a_process_by_itself_has_no_worker_to_forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(files.FOLDER_VARIABLE, raising=False)
    forget_worker(101, alive=())


def test_a_file_that_was_just_made_hides_no_other(folder: Path, count: Count) -> None:
    count(101, 3.0)
    (folder / "counter_102.db").touch()
    assert sums(folder) == {(f"{NAME}_total", "a"): 3.0}
    # Its worker was killed before it could count.
    forget_worker(102, alive={101})
    assert names(folder) == {"counter_101.db"}
    forget_worker(101, alive=())
    assert sums(folder) == {(f"{NAME}_total", "a"): 3.0}
