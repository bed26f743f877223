"""Every page of a sign-in after its first form."""

import json
from collections.abc import Iterator
from uuid import UUID

from flask import Flask

from authserve.core.clock import now
from authserve.settings.model import SETTINGS
from tests.support.authenticator import Authenticator
from tests.support.browsing import Shown, Visit
from tests.support.factors import give_recovery_codes, give_totp, switch_mfa_on
from tests.support.mail import open_mailbox, work
from tests.support.passkeys import ORIGIN, give_passkey, passkey_answer
from tests.support.people import make_user
from tests.support.totp import code_at


def show_sign_in_steps(app: Flask) -> Iterator[tuple[str, Shown]]:
    """Yield every page, each with a name: empty, with faults, and after success."""
    with app.app_context():
        eve, fay = (make_user(name, email_verified=True).id for name in ("eve", "fay"))
    yield from _show_mailed_code(app)
    yield "an unknown passkey", _use_unknown_passkey(app)
    yield from _show_second_steps(app, eve)
    yield from _show_set_up(app, fay)


def _show_mailed_code(app: Flask) -> Iterator[tuple[str, Shown]]:
    visit, path = Visit(app), "/sign-in/email-code"
    yield "the address for a code", visit.open(path)
    with app.app_context():
        if not SETTINGS.get().email_sign_in:
            return
    yield "no address for a code", visit.fill(path, email="x")
    shown = visit.fill(path, email="eve@example.com")
    yield "a mailed code", shown
    yield "no mailed code", visit.give(shown)
    yield "a wrong mailed code", visit.give(shown, code="00000000")


def _use_unknown_passkey(app: Flask) -> Shown:
    visit, key = Visit(app), Authenticator(ORIGIN)
    key.create({"rp": {"id": "localhost"}, "challenge": "AAAA", "user": {"id": "AAAA"}})
    answer = passkey_answer(app.test_client(), key)
    return visit.send("/sign-in/passkey", {"credential": json.dumps(answer)})


def _show_second_steps(app: Flask, user_id: UUID) -> Iterator[tuple[str, Shown]]:
    visit, path = Visit(app), "/sign-in/second-step"
    yield "a second step that is gone", visit.follow(visit.open(path))
    yield "help", visit.open(f"{path}/help")
    give_totp(app, user_id)
    give_recovery_codes(app, user_id)
    give_passkey(app, user_id)
    shown = visit.sign_in("eve")
    pending = shown.form(f"{path}/passkey")["pending"]
    yield "a passkey", shown
    yield "a passkey that was not used", visit.give(shown)
    for name, field in (("totp", "code"), ("recovery-code", "recovery_code")):
        shown = visit.open(f"{path}/{name}?pending={pending}")
        yield name, shown
        yield f"{name} without input", visit.give(shown)
        yield f"{name} that is wrong", visit.give(shown, **{field: "000000"})
    yield "help for a sign-in", visit.open(f"{path}/help?pending={pending}")


def _show_set_up(app: Flask, user_id: UUID) -> Iterator[tuple[str, Shown]]:
    switch_mfa_on(app, user_id)
    visit, mailbox = Visit(app), open_mailbox(app)
    shown = visit.sign_in("fay")
    yield "set-up", shown
    pending = shown.form("/sign-in/set-up")["pending"]
    passkey = visit.open(f"/sign-in/set-up?method=passkey&pending={pending}")
    yield "set-up of a passkey", passkey
    fields = passkey.form("/sign-in/set-up")
    wrong = {name: "x" for name in fields if name.startswith(("email", "credential"))}
    yield "set-up of a passkey with faults", visit.give(passkey, **wrong)
    begun = visit.give(shown)
    yield "set-up of an app", begun
    yield "set-up of an app without input", visit.give(begun)
    given = {"code": "000000"}
    if "email_code" in begun.form():
        work(app)
        given["email_code"] = mailbox.to("fay@example.com")[-1].code
    yield "set-up of an app with a wrong code", visit.give(begun, **given)
    given["code"] = code_at(begun.form()["secret"], now())
    yield "recovery codes", visit.give(begun, **given)
