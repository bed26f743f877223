"""Mail from a request to a mailbox: a real server, a real worker, a real SMTP peer that fails."""

from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest
from flask import Flask

from authserve.core.clock import now
from authserve.outbox.policy import BACKOFF_CAP, REFUSAL_PAUSE
from tests.conftest import make_settings
from tests.support.clients import PASSWORD
from tests.support.marks import both_databases
from tests.support.messages import change_messages, messages, states
from tests.support.server import Client, Server
from tests.support.smtp import MailServer, mail_server
from tests.support.worker import WorkerProcess, wait_until

pytestmark = [pytest.mark.gunicorn, pytest.mark.fault]


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as server:
        yield server


@pytest.fixture
def worker(database_url: str, tmp_path: Path, mail: MailServer) -> Iterator[WorkerProcess]:
    settings = make_settings(database_url, tmp_path)
    process = WorkerProcess(settings, tmp_path / "worker", {"MAIL_URL": mail.url})
    yield process
    process.kill()


def register(client: Client, name: str) -> None:
    body = {"email": f"{name}@example.com", "username": name, "password": PASSWORD}
    answer = client.post("/api/v1/auth/register", json=body)
    assert answer.status_code == 201, answer.text


def wait_for_mail(mail: MailServer, name: str) -> None:
    address = f"{name}@example.com"
    wait_until(lambda: address in [arrival.to for arrival in mail.arrivals], what=address)


def follow_link(client: Client, message: EmailMessage) -> None:
    body = message.get_body(("plain",))
    assert body is not None
    link = next(word for word in body.get_content().split() if word.startswith("http"))
    proof = {"token": link.partition("#")[2], "password": PASSWORD}
    for status in (204, 400):
        answer = client.post("/api/v1/auth/email/verify", json=proof)
        assert answer.status_code == status, answer.text


def wait_for_failure(app: Flask, *, pause: timedelta = BACKOFF_CAP) -> None:
    """Wait until the pending message has been tried; `pause` limits the time to the next try."""

    def has_failed() -> bool:
        rows = messages(app, state="pending")
        return len(rows) == 1 and bool(rows[0]["last_error"]) and rows[0]["leased_until"] is None

    wait_until(has_failed)
    (row,) = messages(app, state="pending")
    assert row["next_attempt_at"] <= now() + pause


@both_databases
def test_no_mail_is_lost_or_sent_twice_whatever_the_mail_server_does(
    app: Flask, make_server: Callable[..., Server], worker: WorkerProcess, mail: MailServer
) -> None:
    server = make_server(MAIL_URL=mail.url)
    client = server.client()
    register(client, "working")
    wait_for_mail(mail, "working")
    follow_link(client, mail.arrivals[0].message)

    mail.close()
    register(client, "refusing")
    wait_for_failure(app)
    mail.open()
    change_messages(app, next_attempt_at=now())
    wait_for_mail(mail, "refusing")

    for stage, answer, name, pause in (
        ("DATA", "451 later", "later", BACKOFF_CAP),
        ("RCPT", "550 no", "never", REFUSAL_PAUSE),
    ):
        mail.answers[stage] = answer
        register(client, name)
        wait_for_failure(app, pause=pause)
        mail.answers.clear()
        change_messages(app, next_attempt_at=now())
        wait_for_mail(mail, name)

    mail.asked.clear()
    mail.hang.set()
    register(client, "hanging")
    wait_until(mail.asked.is_set)
    # The worker is delayed now; no request of any kind is.
    before = len(mail.arrivals)
    register(client, "meanwhile")
    for address in ("working@example.com", "unknown@example.com"):
        forgot = client.post("/api/v1/auth/password/forgot", json={"email": address})
        assert (forgot.status_code, forgot.json()) == (202, {})
    assert len(mail.arrivals) == before
    mail.hang.clear()
    for name in ("hanging", "meanwhile"):
        wait_for_mail(mail, name)
    wait_until(lambda: "pending" not in states(app))

    assert states(app) == {"sent": 7, "dropped": 1}
    assert set(Counter(arrival.id for arrival in mail.arrivals).values()) == {1}
    names = ("working", "refusing", "later", "never", "hanging", "meanwhile")
    assert Counter(arrival.to for arrival in mail.arrivals) == Counter(
        [*(f"{name}@example.com" for name in names), "working@example.com"]
    )
    worker.terminate()
    assert worker.wait() == 0, worker.output()
