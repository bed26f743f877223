"""Notices to an address that its account has not verified."""

from datetime import timedelta

import time_machine
from flask import Flask

from authserve.database.transactions import transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.verification.worker import MAX_UNVERIFIED_NOTICES, NOTICE_WINDOW
from tests.support.mail import Mailbox, work
from tests.support.marks import both_databases
from tests.support.people import make_user
from tests.support.rows import change_user


@both_databases
def test_a_stranger_cannot_flood_the_owner_of_an_address(
    clock: time_machine.Traveller, app: Flask, mailbox: Mailbox
) -> None:
    """By changes of an account that has the address of another person."""
    with app.app_context():
        user = make_user("dora", password=None)
    address = "dora@example.com"

    def send(count: int) -> int:
        """Enqueue notices, and return how many arrived."""
        before = len(mailbox.to(address))
        with app.app_context(), transaction():
            for _ in range(count):
                notify(MailKind.PASSWORD_CHANGED, address, user.id)
        work(app)
        return len(mailbox.to(address)) - before

    assert send(MAX_UNVERIFIED_NOTICES - 1) == MAX_UNVERIFIED_NOTICES - 1
    assert send(3) == 1
    change_user(app, user.id, email_verified=True)
    assert send(3) == 3
    change_user(app, user.id, email_verified=False)
    clock.shift(NOTICE_WINDOW - timedelta(seconds=1))
    assert send(1) == 0
    clock.shift(1)
    assert send(1) == 1
