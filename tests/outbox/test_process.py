"""A real `flask worker` that is killed, stopped, and started again."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask

from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.mail.policy import MailKind
from authserve.outbox.enqueue import enqueue
from tests.conftest import make_settings
from tests.factories import make_user
from tests.support.marks import both_databases, on_postgresql
from tests.support.messages import change_messages, messages, states
from tests.support.smtp import MailServer, mail_server
from tests.support.worker import WorkerProcess, wait_until

pytestmark = pytest.mark.fault

MakeProcess = Callable[[], WorkerProcess]


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def start_worker(database_url: str, tmp_path: Path, mail: MailServer) -> Iterator[MakeProcess]:
    """Start real workers whose mail goes to `mail`."""
    workers: list[WorkerProcess] = []
    with ExitStack() as ends:

        def start() -> WorkerProcess:
            folder = tmp_path / f"worker{len(workers)}"
            settings = make_settings(database_url, tmp_path)
            worker = WorkerProcess(settings, folder, {"MAIL_URL": mail.url})
            ends.callback(worker.kill)
            workers.append(worker)
            return worker

        yield start


def owe_notices(app: Flask, count: int) -> list[str]:
    """Enqueue notices to `count` users and return their addresses."""
    with app.app_context(), transaction():
        users = [make_user(f"user{number}") for number in range(count)]
        for number, user in enumerate(users):
            payload = {"email": f"user{number}@example.com"}
            enqueue(MailKind.PASSWORD_CHANGED, payload, user_id=user.id)
    return [f"user{number}@example.com" for number in range(count)]


@both_databases
def test_only_the_mail_in_flight_repeats_after_a_kill(
    app: Flask, mail: MailServer, start_worker: MakeProcess
) -> None:
    addresses = owe_notices(app, 5)
    mail.hold.set()
    first = start_worker()
    wait_until(lambda: mail.arrivals)
    first.kill()
    (held,) = [row for row in messages(app) if row["leased_until"] is not None]
    assert held["leased_until"] - now() <= timedelta(seconds=45)
    mail.hold.clear()

    # The server has the mail, but the worker died first. The lease is kept until it ends ...
    start_worker()
    wait_until(lambda: states(app).get("sent") == 4)
    assert states(app) == {"sent": 4, "pending": 1}
    # ... and then the mail goes once more, known by its id.
    change_messages(app, held["id"], leased_until=now())
    wait_until(lambda: states(app) == {"sent": 5})
    arrived = Counter(arrival.to for arrival in mail.arrivals)
    assert arrived == Counter([*addresses, held["payload"]["email"]])
    assert len({arrival.id for arrival in mail.arrivals}) == 5


@pytest.mark.parametrize(
    ("database_kind", "number"),
    [("sqlite", signal.SIGTERM), ("postgresql", signal.SIGINT)],
    indirect=["database_kind"],
)
def test_it_finishes_its_delivery_at_sigterm(
    app: Flask, mail: MailServer, start_worker: MakeProcess, number: signal.Signals
) -> None:
    owe_notices(app, 3)
    mail.hang.set()
    worker = start_worker()
    wait_until(mail.asked.is_set)
    worker.process.send_signal(number)
    mail.hang.clear()
    assert worker.wait() == 0, worker.output()
    assert (len(mail.arrivals), states(app)) == (1, {"sent": 1, "pending": 2})
    assert [line["event"] for line in worker.log()] == [
        "worker started",
        "message sent",
        "audit trail verified",
        "worker stopped",
    ]


@on_postgresql
def test_two_share_the_work(app: Flask, mail: MailServer, start_worker: MakeProcess) -> None:
    addresses = owe_notices(app, 40)
    workers = [start_worker(), start_worker()]
    wait_until(lambda: states(app) == {"sent": 40})
    assert Counter(arrival.to for arrival in mail.arrivals) == Counter(addresses)
    # With nothing to do they end at once.
    for worker in workers:
        worker.terminate()
        assert worker.wait() == 0
    assert not [line for worker in workers for line in worker.log() if line["level"] != "INFO"]
