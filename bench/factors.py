"""Sign-ins with two factors: a password and a code of an app, and a passkey alone."""

import json
from collections.abc import Iterator, Sequence
from http import HTTPStatus
from itertools import count, cycle
from statistics import median
from uuid import UUID

import cbor2
from sqlalchemy import insert, select, update

from authserve.app import create_app
from authserve.core.clock import now
from authserve.core.ids import new_id
from authserve.database.transactions import execute, transaction
from authserve.mfa.models import Passkey, TotpFactor
from authserve.mfa.totp import new_secret, seal
from authserve.settings.model import SETTINGS
from authserve.users.models import User
from bench.filling import PASSWORD
from bench.gates import AUTH, CALLERS, STORMERS, USERS_PER_STORMER, Bench, Row, post, user_name
from bench.load import Answer, Caller, NextRequest, build_request, run
from config import load_settings
from tests.support.authenticator import AAGUID, Authenticator, cose_key
from tests.support.totp import code_at

FIRST = STORMERS * USERS_PER_STORMER + CALLERS
"""The first account that no other measurement uses."""

PEOPLE = 1_000
"""Accounts with an app: each signs in once in more than 30 seconds, so that no code is reused."""

KEYS = 25
"""Passkeys of each caller, of as many accounts: at fifty sessions a sign-in would end the oldest
too."""

STEPS = 2
"""Requests of one sign-in, in both ways."""


def measure_factors(bench: Bench) -> list[Row]:
    """Sign-ins a second by two factors; the one with a password hashes, the other does not."""
    app = create_app(load_settings(bench.environ), with_commands=False)
    with app.app_context(), transaction():
        secrets = {name: _give_totp(name) for name in map(user_name, range(FIRST, FIRST + PEOPLE))}
        names = map(user_name, count(FIRST + PEOPLE))
        keys = [[_give_passkey(next(names)) for _ in range(KEYS)] for _ in range(CALLERS)]
    port, turns = bench.service.port, cycle(secrets.items())
    ways = {
        "sign-in by password and app": [Caller(port, _by_totp(turns)) for _ in range(CALLERS)],
        "sign-in by passkey": [Caller(port, _by_passkey(own)) for own in keys],
    }
    return [_row(bench, what, callers) for what, callers in ways.items()]


def _row(bench: Bench, what: str, callers: Sequence[Caller]) -> Row:
    rates = [_rate(callers, bench.seconds) for _ in range(bench.rounds)]
    return Row("", what, f"{median(rates):.1f}/s, {STEPS} requests each")


def _rate(callers: Sequence[Caller], seconds: float) -> float:
    """Return sign-ins a second; each first step is answered 403 or 200, each second one 200."""
    (result,) = run(callers, seconds).values()
    if not result.statuses.keys() <= {HTTPStatus.OK, HTTPStatus.FORBIDDEN}:
        result.require_success()
    return result.rate / STEPS


def _give_totp(name: str) -> bytes:
    """Give an account a TOTP secret, in the open transaction, and return it."""
    factor_id, secret, user_id = new_id(), new_secret(), _id_of(name)
    moment = now()
    row = {
        "id": factor_id,
        "user_id": user_id,
        "secret": seal(factor_id, secret),
        "created_at": moment,
        "confirmed_at": moment,
    }
    execute(insert(TotpFactor), row)
    execute(update(User).where(User.id == user_id).values(mfa_enabled=True))
    return secret


def _give_passkey(name: str) -> Authenticator:
    """Give an account a passkey, in the open transaction, and return its authenticator."""
    settings, user_id = SETTINGS.get(), _id_of(name)
    key = Authenticator(
        settings.passkey_origins[0], rp_id=settings.passkey_rp_id, user_handle=user_id.bytes
    )
    row = {
        "user_id": user_id,
        "credential_id": key.credential_id,
        "public_key": cbor2.dumps(cose_key(key.private)),
        "algorithm": key.algorithm,
        "rp_id": key.rp_id,
        "sign_count": 0,
        "backup_eligible": False,
        "backed_up": False,
        "transports": [],
        "aaguid": AAGUID,
        "name": "bench",
        "created_at": now(),
    }
    execute(insert(Passkey), row)
    return key


def _id_of(name: str) -> UUID:
    user_id: UUID = execute(select(User.id).where(User.username == name)).scalar_one()
    return user_id


def _by_totp(people: Iterator[tuple[str, bytes]]) -> NextRequest:
    """Sign in with password and code, as one person after the other."""
    secret = b""

    def next_request(answer: Answer | None) -> bytes:
        nonlocal secret
        if answer is not None and answer.status == HTTPStatus.FORBIDDEN:
            code, token = code_at(secret, now()), json.loads(answer.body)["mfa_token"]
            return post("mfa/verify", mfa_token=token, totp_code=code)
        name, secret = next(people)
        return post("login", identifier=name, password=PASSWORD)

    return next_request


def _by_passkey(keys: Sequence[Authenticator]) -> NextRequest:
    """Sign in with one passkey after the other."""
    turns = cycle(keys)

    def next_request(answer: Answer | None) -> bytes:
        options = json.loads(answer.body).get("public_key") if answer is not None else None
        if options is None:
            return post("passkey/options")
        body = {"credential": next(turns).get(options)}
        return build_request("POST", f"{AUTH}/passkey", body=json.dumps(body).encode())

    return next_request
