"""Sign-ins from devices that are new to an account: the event, the mail, and the cost."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import time_machine
from flask import Flask
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from authserve.auth.models import SeenDevice
from authserve.auth.seen_devices import find_device_network, purge_forgotten_devices
from authserve.database.transactions import read_all, transaction
from authserve.outbox.models import OutboxMessage
from authserve.users.models import User
from tests.support.clients import PASSWORD, register
from tests.support.crowd import all_at_once, persistently
from tests.support.mail import open_mailbox, work
from tests.support.marks import both_databases
from tests.support.observing import observed
from tests.support.rows import audit_trail

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
NEWER_FIREFOX = FIREFOX.replace("145", "146")
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML) Chrome/142.0 Safari/537.36"

HOME, NEIGHBOUR, CAFE = "192.0.2.10", "192.0.2.200", "198.51.100.7"


def sign_in(
    app: Flask, *, ip: str = HOME, agent: str = FIREFOX, device_token: str | None = None
) -> TestResponse:
    body = {"identifier": "alice", "password": PASSWORD}
    if device_token is not None:
        body["device_token"] = device_token
    return persistently(
        lambda: app.test_client().post(
            "/api/v1/auth/login",
            json=body,
            headers={"User-Agent": agent},
            environ_base={"REMOTE_ADDR": ip},
        )
    )


def signed_in(app: Flask, **how: Any) -> dict[str, Any]:
    answer = sign_in(app, **how)
    assert answer.status_code == 200
    tokens: dict[str, Any] = answer.get_json()
    return tokens


def count_mails(app: Flask) -> int:
    wanted = OutboxMessage.kind == "new_device_sign_in"
    with app.app_context():
        return len(read_all(select(OutboxMessage.id).where(wanted)))


def known_devices(app: Flask) -> list[bool]:
    """Return `known_device` of each sign-in's event, oldest first."""
    return [event["details"]["known_device"] for event in audit_trail(app, "session.started")]


def count_devices(app: Flask) -> int:
    with app.app_context():
        return len(read_all(select(SeenDevice.digest)))


def test_the_owner_is_notified_of_a_new_device_and_network(
    app: Flask, clock: time_machine.Traveller
) -> None:
    mailbox = open_mailbox(app)
    register(app.test_client(), "alice")
    signed_in(app)
    clock.shift(timedelta(minutes=1))
    signed_in(app, ip=NEIGHBOUR, agent=NEWER_FIREFOX)
    assert count_mails(app) == 0
    signed_in(app, ip=CAFE, agent=CHROME)
    assert count_mails(app) == 1
    assert known_devices(app) == [True, True, False]
    work(app)
    letter = mailbox.to("alice@example.com")[-1]
    assert letter.subject == "New sign-in to your account"
    for fact in ("Chrome", CAFE, "2030-01-01 12:01 UTC"):
        assert fact in letter.text


def test_one_mail_a_day(app: Flask, clock: time_machine.Traveller) -> None:
    register(app.test_client(), "alice")
    signed_in(app)
    signed_in(app, ip=CAFE)
    signed_in(app, agent=CHROME)
    assert count_mails(app) == 1
    assert known_devices(app) == [True, False, False]
    clock.shift(timedelta(days=1))
    signed_in(app, ip=CAFE, agent=CHROME)
    assert count_mails(app) == 2


def test_a_device_token_causes_no_mail_and_makes_its_network_known(
    app: Flask, clock: time_machine.Traveller
) -> None:
    register(app.test_client(), "alice")
    token = signed_in(app)["device_token"]
    signed_in(app, ip=CAFE, device_token=token)
    signed_in(app, ip=CAFE)
    assert count_mails(app) == 0
    signed_in(app, ip="203.0.113.9", device_token="x" + token)
    assert count_mails(app) == 1
    assert known_devices(app) == [True, True, True, False]


@both_databases
def test_a_device_is_known_for_90_days(app: Flask, clock: time_machine.Traveller) -> None:
    register(app.test_client(), "alice")
    for _ in range(3):
        signed_in(app)
        clock.shift(timedelta(days=89))
    assert count_mails(app) == 0
    clock.shift(timedelta(days=1))
    signed_in(app)
    assert count_mails(app) == 1


@both_databases
def test_purged_devices_are_as_good_as_forgotten_ones(
    app: Flask, clock: time_machine.Traveller
) -> None:
    register(app.test_client(), "alice")
    signed_in(app)
    clock.shift(timedelta(days=50))
    signed_in(app, device_token=None, ip=NEIGHBOUR)
    signed_in(app, agent="curl/8.1")
    clock.shift(timedelta(days=90))
    with app.app_context():
        assert sum(purge_forgotten_devices()) == 2
    assert count_devices(app) == 0
    before = count_mails(app)
    signed_in(app)
    assert count_mails(app) == before + 1


def test_where_devices_were_not_recorded_the_next_sign_in_is_no_news(app: Flask) -> None:
    register(app.test_client(), "alice")
    signed_in(app)
    with app.app_context(), transaction() as session:
        session.execute(SeenDevice.__table__.delete())
    signed_in(app, ip=CAFE)
    assert count_mails(app) == 0
    signed_in(app)
    assert count_mails(app) == 1
    assert known_devices(app) == [True, True, False]


def test_off_there_is_no_mail_but_the_event_says_it(make_app: Callable[..., Flask]) -> None:
    app = make_app(new_device_mail=False)
    register(app.test_client(), "alice")
    signed_in(app)
    signed_in(app, ip=CAFE)
    assert (count_devices(app), count_mails(app)) == (2, 0)
    assert known_devices(app) == [True, False]


@both_databases
def test_devices_go_with_their_account(app: Flask) -> None:
    register(app.test_client(), "alice")
    token = signed_in(app)["access_token"]
    assert count_devices(app) == 1
    headers = {"Authorization": f"Bearer {token}"}
    assert app.test_client().delete("/api/v1/users/me", headers=headers).status_code == 204
    assert count_devices(app) == 0


@both_databases
def test_twenty_new_devices_at_once_cause_one_mail(app: Flask) -> None:
    register(app.test_client(), "alice")
    signed_in(app)
    ips = [f"198.51.{number}.7" for number in range(20)]
    answers = all_at_once([lambda ip=ip: sign_in(app, ip=ip) for ip in ips])
    assert {answer.status_code for answer in answers} == {200}
    assert count_mails(app) == 1


@both_databases
def test_a_known_device_costs_one_statement(app: Flask) -> None:
    register(app.test_client(), "alice")
    signed_in(app)
    _, statements = observed(app, lambda: sign_in(app))
    (upsert,) = [statement for statement in statements if "seen_devices" in statement]
    assert upsert.startswith("INSERT")
    assert not [statement for statement in statements if "outbox_messages" in statement]


def test_an_account_that_never_signed_in_gets_none(app: Flask) -> None:
    register(app.test_client(), "alice")
    signed_in(app)
    with app.app_context(), transaction() as session:
        session.execute(update(User).values(last_login_at=None))
    signed_in(app, ip=CAFE)
    assert count_mails(app) == 0


def test_a_network_is_24_or_48_bits() -> None:
    assert find_device_network("192.0.2.77") == "192.0.2.0/24"
    assert find_device_network("2001:db8:1:2::3") == "2001:db8:1::/48"
    assert find_device_network(None) == ""
