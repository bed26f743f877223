"""The choice of the worker that takes a connection for which several woke."""

import selectors
import socket
from collections.abc import Callable, Iterator

import pytest
from gunicorn.config import Config

from authserve.serving import sharing
from authserve.serving.sharing import forget_connections
from authserve.serving.worker import Worker


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A listener with a waiting connection."""
    with (
        socket.create_server(("127.0.0.1", 0)) as found,
        socket.create_connection(found.getsockname()),
    ):
        yield found


MakeWorker = Callable[[int], Worker]


@pytest.fixture
def make_worker(listener: socket.socket) -> Iterator[MakeWorker]:
    """Make workers with a number of connections, which accept more."""
    made: list[Worker] = []

    def make(connections: int) -> Worker:
        worker = Worker(len(made), 0, [listener], None, 30, Config(), None)
        made.append(worker)
        worker.poller = selectors.DefaultSelector()
        worker.set_accept_enabled(True)
        worker.nr_conns = connections
        return worker

    yield make
    for worker in made:
        forget_connections(worker)
        for conn in worker.pending_conns:
            conn.close()
        worker.poller.close()
        worker.tmp.close()


@pytest.fixture
def instants(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], object]]:
    """Actions during the pauses in which a worker leaves a connection to others, one a pause."""
    happening: list[Callable[[], object]] = []
    monkeypatch.setattr(sharing, "sleep", lambda _secs: happening.pop()())
    return happening


def test_one_that_has_more_leaves_a_connection_to_another(
    make_worker: MakeWorker, listener: socket.socket, instants: list[Callable[[], object]]
) -> None:
    fuller, other = make_worker(3), make_worker(1)
    instants.append(lambda: other.accept(listener))
    fuller.accept(listener)
    assert (fuller.nr_conns, other.nr_conns) == (3, 2)
    assert instants == []


def test_a_busier_worker_takes_connections_left_by_the_others(
    make_worker: MakeWorker, listener: socket.socket, instants: list[Callable[[], object]]
) -> None:
    fuller, other = make_worker(3), make_worker(1)
    instants.append(lambda: None)
    fuller.accept(listener)
    assert (fuller.nr_conns, other.nr_conns) == (4, 1)


@pytest.mark.parametrize("others", [(), (3,), (2,), (9, 2)])
@pytest.mark.usefixtures("instants")
def test_one_that_is_not_ahead_takes_it_at_once(
    make_worker: MakeWorker, listener: socket.socket, others: tuple[int, ...]
) -> None:
    worker = make_worker(3)
    for connections in others:
        make_worker(connections)
    worker.accept(listener)
    assert worker.nr_conns == 4


def stop_accepting(worker: Worker) -> None:
    """Set the state of a worker with all the connections that it may have."""
    worker.set_accept_enabled(False)


@pytest.mark.parametrize("end", [stop_accepting, forget_connections])
@pytest.mark.usefixtures("instants")
def test_nothing_is_left_to_one_that_takes_none(
    make_worker: MakeWorker, listener: socket.socket, end: Callable[[Worker], None]
) -> None:
    worker = make_worker(3)
    end(make_worker(0))
    worker.accept(listener)
    assert worker.nr_conns == 4


@pytest.mark.usefixtures("instants")
def test_one_with_more_requests_than_threads_loses_no_time(
    make_worker: MakeWorker, listener: socket.socket
) -> None:
    worker, _ = make_worker(3), make_worker(0)
    worker.requests_under_way = worker.cfg.threads + 1
    worker.accept(listener)
    assert worker.nr_conns == 4


@pytest.mark.parametrize(("fewest", "is_left"), [(0, 2), (7, 9), (8, 11), (80, 92)])
def test_the_more_connections_there_are_the_less_a_lead_matters(
    make_worker: MakeWorker,
    listener: socket.socket,
    instants: list[Callable[[], object]],
    fewest: int,
    is_left: int,
) -> None:
    fuller, _ = make_worker(is_left - 1), make_worker(fewest)
    fuller.accept(listener)
    assert fuller.nr_conns == is_left
    instants.append(lambda: None)
    with socket.create_connection(listener.getsockname()):
        fuller.accept(listener)
    assert instants == []


@pytest.mark.usefixtures("instants")
def test_one_that_stops_leaves_nothing_in_the_queue(
    make_worker: MakeWorker, listener: socket.socket
) -> None:
    worker, _ = make_worker(3), make_worker(0)
    worker.alive = False
    worker.set_accept_enabled(False)
    assert worker.nr_conns == 4


def test_connections_that_end_are_counted_off(
    make_worker: MakeWorker, listener: socket.socket, instants: list[Callable[[], object]]
) -> None:
    fuller, other = make_worker(3), make_worker(3)
    other.nr_conns -= 2
    instants.append(lambda: None)
    fuller.accept(listener)
    assert instants == []
