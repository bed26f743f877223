"""The tests of a run in several processes: each runs once, and no failure is lost."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import config
from tests.conftest import make_once
from tests.support.crowd import all_at_once


def run_tests(folder: Path, **sources: str) -> "subprocess.CompletedProcess[str]":
    """Run files of tests, given by their names, in two processes."""
    (folder / "conftest.py").write_text(FIXTURE)
    for name, source in sources.items():
        (folder / f"test_{name}.py").write_text(source)
    command = ["-m", "pytest", "-p", "tests.support.forks", "--forks", "2", "-c", os.devnull]
    return subprocess.run(
        [sys.executable, *command, "--rootdir", ".", "-p", "no:cacheprovider", "."],
        cwd=folder,
        env={"PYTHONPATH": str(config.ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


FIXTURE = """
import os, pytest

@pytest.fixture(scope="session")
def process():
    yield f"{os.getpid()} "
    open("ended", "a").write("x")
"""

NOTING = """
import pytest

@pytest.mark.parametrize("number", range(3))
def test_it(process, number):
    print("printed by", number)
    open("processes", "a").write(process)
    assert number != FAILS
"""


def test_each_test_runs_once_and_those_of_a_file_in_one_process(tmp_path: Path) -> None:
    sources = {name: NOTING.replace("FAILS", "9") for name in "abcdef"}
    done = run_tests(tmp_path, **sources)
    assert (done.returncode, "18 passed" in done.stdout) == (0, True), done.stdout + done.stderr
    processes = (tmp_path / "processes").read_text().split()
    assert len(processes) == 18
    assert all(processes.count(process) % 3 == 0 for process in processes)
    assert len((tmp_path / "ended").read_text()) == len(set(processes))


def test_a_failure_is_reported_with_what_the_test_printed(tmp_path: Path) -> None:
    done = run_tests(tmp_path, a=NOTING.replace("FAILS", "1"), b=NOTING.replace("FAILS", "9"))
    assert done.returncode == 1
    assert "1 failed, 5 passed" in done.stdout
    assert "FAILED test_a.py::test_it[1]" in done.stdout
    assert "printed by 1" in done.stdout
    assert "printed by 2" not in done.stdout


def test_a_process_that_ends_fails_the_run_with_the_name_of_its_test(tmp_path: Path) -> None:
    ending = "import os\ndef test_end():\n    os._exit(0)\n"
    done = run_tests(tmp_path, a=ending, b=NOTING.replace("FAILS", "9"))
    assert done.returncode not in (0, 1)
    assert "a process that runs tests failed in test_a.py::test_end: It ended." in done.stdout


KILLING = """
import os, signal, time

def test_kill():
    parent = os.getppid()
    os.kill(parent, signal.SIGKILL)
    while os.getppid() == parent:
        time.sleep(0.01)

def test_go_on():
    open("went_on", "a").write("x")
"""


def test_no_process_goes_on_without_its_parent(tmp_path: Path) -> None:
    done = run_tests(tmp_path, a=KILLING)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "went_on").exists()


def test_what_processes_share_is_made_once(tmp_path: Path) -> None:
    made = []

    def make(path: Path) -> None:
        made.append(path)
        path.write_text("made")

    shared = all_at_once([lambda: make_once(tmp_path / "shared", make)] * 4)
    assert [path.read_text() for path in shared] == ["made"] * 4
    assert len(made) == 1


def test_what_could_not_be_made_is_made_by_the_next_process(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        make_once(tmp_path / "shared", Path.read_text)
    assert make_once(tmp_path / "shared", Path.touch).is_file()
