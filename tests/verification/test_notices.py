"""Notices to an address that its account has not verified."""

from datetime import timedelta

import time_machine
from flask import Flask

from authserve.core.actor import VISITOR, RequestInfo
from authserve.core.ids import new_id
from authserve.database.transactions import transaction
from authserve.mail.notices import notify
from authserve.mail.policy import MailKind
from authserve.mfa.email_codes import request_enrollment_code
from authserve.ratelimit.policy import MAILS_TO_UNVERIFIED
from authserve.users.accounts import NewUser, add_user, delete_user, ref_of
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

    most = MAILS_TO_UNVERIFIED.amount
    assert send(most - 1) == most - 1
    assert send(3) == 1
    change_user(app, user.id, email_verified=True)
    assert send(3) == 3
    change_user(app, user.id, email_verified=False)
    clock.shift(MAILS_TO_UNVERIFIED.window - timedelta(seconds=1))
    assert send(1) == 0
    clock.shift(1)
    assert send(1) == 1


@both_databases
def test_neither_another_account_nor_another_kind_of_mail_sends_more(
    app: Flask, mailbox: Mailbox
) -> None:
    """A stranger can delete the account that has the address, and open another one."""
    address, most = "dora@example.com", MAILS_TO_UNVERIFIED.amount
    with app.app_context():
        user = make_user("dora", password=None)
        with transaction():
            for _ in range(most):
                notify(MailKind.PASSWORD_CHANGED, address, user.id)
    work(app)
    assert len(mailbox.to(address)) == most
    with app.app_context():
        delete_user(user, actor=VISITOR, request=RequestInfo())
        with transaction():
            # Without the username, which stays reserved.
            again = ref_of(add_user(NewUser(email=address)))
            notify(MailKind.PASSWORD_CHANGED, address, again.id)
            request_enrollment_code(again, email=address, bound_to=new_id(), request=RequestInfo())
    work(app)
    assert len(mailbox.to(address)) == most
