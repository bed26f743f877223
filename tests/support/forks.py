"""A plugin that runs the tests in several processes, which are forked after one collection.

`pytest-xdist` collects in each of its processes, which costs each nine seconds of CPU (measured).
"""

import os
import pickle
import selectors
import signal
import traceback
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, groupby, pairwise
from multiprocessing.connection import Connection, Pipe
from operator import attrgetter
from typing import Any, NoReturn

import pytest

PLACE_BYTES = 4
"""Length of a file's place in the queue, in bytes. What a read takes from a pipe, no other one
gets; a pipe holds 16,000 places (pipe(7))."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--forks`."""
    parser.addoption("--forks", type=int, default=0, help="processes that run the tests")


def pytest_configure(config: pytest.Config) -> None:
    """Run the tests in processes if there is to be more than this one."""
    if config.getoption("forks"):
        config.pluginmanager.register(Forks(config.getoption("forks")))


class Forks:
    """The loop that has the tests of each file run by one of several processes.

    Args:
        count: the number of processes.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Fork, and report the results of the processes."""
        if session.testsfailed or session.config.option.collectonly:
            return None
        # The folder of temporary files is made once.
        session.config._tmp_path_factory.getbasetemp()  # type: ignore[attr-defined]
        files = [list(items) for _, items in groupby(session.items, attrgetter("path"))]
        queue = make_queue(len(files))
        forks: list[Fork] = []
        for _ in range(self._count):
            forks.append(Fork(session, files, queue, earlier=forks))
        os.close(queue)
        try:
            follow(session, forks)
        finally:
            for fork in forks:
                fork.end()
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        return True


def make_queue(length: int) -> int:
    """Return a descriptor from which processes read the places of files, each of them once."""
    reader, writer = os.pipe()
    for place in range(length):
        os.write(writer, place.to_bytes(PLACE_BYTES))
    os.close(writer)
    return reader


def take_tests(files: list[list[pytest.Item]], queue: int) -> Iterator[pytest.Item]:
    """Yield the tests of files that no other process has taken, until none is left."""
    while place := os.read(queue, PLACE_BYTES):
        yield from files[int.from_bytes(place)]


class Fork:
    """A process that runs tests, as its parent sees it.

    Args:
        files: the tests of each file.
        queue: see `make_queue`.
        earlier: the processes that exist.
    """

    def __init__(
        self,
        session: pytest.Session,
        files: list[list[pytest.Item]],
        queue: int,
        *,
        earlier: Iterable["Fork"],
    ) -> None:
        self.messages, sender = Pipe(duplex=False)
        self.test = "no test"
        self.is_done = False
        parent = os.getpid()
        self.pid = os.fork()
        if not self.pid:
            # If the parent is killed, no reader is left, so no process waits for one.
            for fork in (*earlier, self):
                fork.messages.close()
            run_and_exit(session, take_tests(files, queue), sender, parent=parent)
        sender.close()

    def receive(self) -> tuple[str, Any]:
        """Return the next message of the process.

        Raises:
            RuntimeError: it has ended before its tests, or a plugin of it failed.
        """
        try:
            kind, content = pickle.loads(self.messages.recv_bytes())
        except EOFError:
            kind, content = "error", "It ended."
        if kind == "error":
            raise RuntimeError(f"a process that runs tests failed in {self.test}: {content}")
        return kind, content

    def end(self) -> None:
        """Interrupt the process if it still runs, and wait for its end."""
        # It would wait for a reader of what it sends.
        self.messages.close()
        if not self.is_done:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)
        os.waitpid(self.pid, 0)


def follow(session: pytest.Session, forks: list[Fork]) -> None:
    """Pass the results of processes to the plugins of this one, until all tests have run."""
    with selectors.DefaultSelector() as selector:
        for fork in forks:
            selector.register(fork.messages, selectors.EVENT_READ, fork)
        while selector.get_map() and not session.shouldfail:
            for key, _ in selector.select():
                take_message(session, key.data)
                if key.data.is_done:
                    selector.unregister(key.data.messages)


def take_message(session: pytest.Session, fork: Fork) -> None:
    """Do what the next message of a process asks for."""
    kind, content = fork.receive()
    config, hook = session.config, session.config.hook
    if kind == "start":
        fork.test = content
    elif kind == "report":
        report = hook.pytest_report_from_serializable(config=config, data=content)
        hook.pytest_runtest_logreport(report=report)
    elif kind == "finish":
        hook.pytest_runtest_logfinish(nodeid=content, location=("", None, ""))
    else:
        fork.is_done = True


def run_and_exit(
    session: pytest.Session, tests: Iterator[pytest.Item], sender: Connection, *, parent: int
) -> NoReturn:
    """Run tests in a forked process, for as long as its parent lives."""
    sending = Sending(session.config, sender)
    try:
        capture = session.config.pluginmanager.getplugin("capturemanager")
        # Its files are the parent's, and of every other process.
        capture.stop_global_capturing()
        capture.start_global_capturing()
        session.config.pluginmanager.unregister(name="terminalreporter")
        session.config.pluginmanager.register(sending)
        for test, following in pairwise(chain(tests, [None])):
            if os.getppid() != parent:
                break
            session.config.hook.pytest_runtest_protocol(item=test, nextitem=following)
        sending.send("done", None)
    except BaseException:
        sending.send("error", traceback.format_exc())
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        # An interrupted test leaves fixtures, whose servers would go on.
        with suppress(BaseException):
            session._setupstate.teardown_exact(None)
        # Nothing that the parent has registered may run at the end of this process.
        os._exit(0)


class Sending:
    """The plugin of a forked process that sends its results to the parent."""

    def __init__(self, config: pytest.Config, sender: Connection) -> None:
        self._config = config
        self._sender = sender

    def send(self, kind: str, content: object) -> None:
        """Send a message."""
        self._sender.send_bytes(pickle.dumps((kind, content)))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Send the name of a test that begins."""
        self.send("start", nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Send the result of a part of a test."""
        data = self._config.hook.pytest_report_to_serializable(config=self._config, report=report)
        self.send("report", data)

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Send the name of a test that has ended."""
        self.send("finish", nodeid)
