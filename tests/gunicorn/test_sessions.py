"""Sessions and guesses on a real server: three processes that share nothing but the database.

An application in the test's own process makes the accounts, on the same database and with the same
secret; the tested calls go through the server alone.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
import requests
from sqlalchemy import func, select, update

from authserve.core.actor import RequestInfo
from authserve.core.clock import now
from authserve.database.transactions import transaction
from authserve.keys.models import SigningKey
from authserve.keys.policy import RotationCause
from authserve.keys.rotation import list_keys, rotate
from authserve.sessions.models import Session
from tests.gunicorn.conftest import Site
from tests.support.clients import PASSWORD, Caller, login, register_caller
from tests.support.crowd import all_at_once, within
from tests.support.marks import both_databases
from tests.support.rows import audit_trail, live_session_row
from tests.support.tokens import claims_of

pytestmark = pytest.mark.gunicorn

Tokens = dict[str, Any]

GRACE_SECS = 10


def call(site: Site, method: str, path: str, token: str = "", **kwargs: Any) -> Any:
    """One request on a connection of its own, to whichever worker takes it."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return site.server.client().request(method, f"/api/v1{path}", headers=headers, **kwargs)


def refresh(site: Site, tokens: Tokens) -> requests.Response:
    body = {"refresh_token": tokens["refresh_token"]}
    return call(site, "POST", "/auth/refresh", json=body)


def assert_dead(site: Site, *pairs: Tokens) -> None:
    """Check that every token is refused."""
    for tokens in pairs:
        for response in (
            call(site, "GET", "/users/me", tokens["access_token"]),
            refresh(site, tokens),
            call(site, "POST", "/auth/logout", tokens["refresh_token"]),
        ):
            assert (response.status_code, response.json()["code"]) == (401, "session_revoked")


def sign_in(site: Site, name: str, password: str = PASSWORD) -> Tokens:
    tokens: Tokens = login(site.app.test_client(), name, password).get_json()
    return tokens


@both_databases
def test_fifty_refreshes_of_one_token_at_once_leave_one_chain(site: Site) -> None:
    register_caller(site.app, "refresher")

    def refresh_at_once() -> tuple[Tokens, list[requests.Response]]:
        tokens = sign_in(site, "refresher")
        return tokens, all_at_once([lambda: refresh(site, tokens)] * 50)

    tokens, answers = within(GRACE_SECS, refresh_at_once)
    assert [answer.status_code for answer in answers] == [200] * 50
    pairs = [answer.json() for answer in answers]
    assert {pair["session_id"] for pair in pairs} == {tokens["session_id"]}
    assert {claims_of(pair["refresh_token"])["gen"] for pair in pairs} == {1}
    row = live_session_row(site.app, tokens["session_id"])
    assert (row["generation"], row["revoked_at"]) == (1, None)
    for pair in pairs[::10]:
        assert call(site, "GET", "/users/me", pair["access_token"]).status_code == 200
    age_last_refresh(site, tokens["session_id"])
    following = refresh(site, pairs[-1])
    assert claims_of(following.json()["refresh_token"])["gen"] == 2


class SharedStore:
    """The store of tokens that the tabs of one browser share, like local storage."""

    def __init__(self, tokens: Tokens) -> None:
        self.tokens = tokens

    def refresh_in_tab(self, site: Site, *, times: int, lost_answers: Collection[int]) -> list[int]:
        """Refresh with the tokens that are there, and keep the new ones unless they are lost."""
        statuses = []
        for number in range(times):
            answer = refresh(site, self.tokens)
            statuses.append(answer.status_code)
            if answer.status_code == 200 and number not in lost_answers:
                self.tokens = answer.json()
        return statuses


def age_last_refresh(site: Site, session_id: str) -> None:
    """End the grace of the session's last refresh."""
    with site.app.app_context(), transaction() as session:
        row = session.get_one(Session, UUID(session_id))
        if row.rotated_at is not None:
            row.rotated_at -= timedelta(seconds=GRACE_SECS + 1)


@pytest.mark.parametrize("tabs", [4, 8])
def test_tabs_that_share_a_session_stay_signed_in(site: Site, tabs: int) -> None:
    """Their refreshes interleave over the workers, and some answers are lost."""
    name = f"tabs{tabs}"
    register_caller(site.app, name)
    tokens = sign_in(site, name)
    store, rounds = SharedStore(tokens), 0
    while rounds < 3:
        before, began_at = store.tokens, time.monotonic()
        tab_calls = [
            partial(store.refresh_in_tab, site, times=3, lost_answers={(number + rounds) % 4})
            for number in range(tabs)
        ]
        statuses = all_at_once(tab_calls)
        # On a busy machine a token of this round's beginning is too old at its end.
        if time.monotonic() - began_at >= GRACE_SECS:
            store, rounds = SharedStore(sign_in(site, name)), 0
            continue
        assert statuses == [[200] * 3] * tabs
        rounds += 1
        # A tab that was suspended all the time.
        assert refresh(site, before).status_code == 200
        age_last_refresh(site, store.tokens["session_id"])
    assert refresh(site, store.tokens).status_code == 200


def test_a_token_two_refreshes_old_is_answered_within_the_grace(site: Site) -> None:
    """R0 for R1, R1 for R2, and R0 again, all within the grace: three pairs of one generation."""
    register_caller(site.app, "three")

    def refresh_thrice() -> list[requests.Response]:
        tokens = sign_in(site, "three")
        first = refresh(site, tokens)
        return [first, refresh(site, first.json()), refresh(site, tokens)]

    answers = within(GRACE_SECS, refresh_thrice)
    assert [answer.status_code for answer in answers] == [200] * 3
    generations = {claims_of(answer.json()["refresh_token"])["gen"] for answer in answers}
    assert generations == {1}


# A refresh beside an end of its session: each makes the tokens to be refreshed, and the end.

Begun = tuple[Tokens, Callable[[], requests.Response]]


def by_logout(site: Site, _round: int) -> Begun:
    tokens = sign_in(site, "alice")
    return tokens, lambda: call(site, "POST", "/auth/logout", tokens["access_token"])


def by_logout_all(site: Site, _round: int) -> Begun:
    tokens, other = sign_in(site, "alice"), sign_in(site, "alice")
    return tokens, lambda: call(site, "POST", "/auth/logout-all", other["access_token"])


def by_deletion(site: Site, _round: int) -> Begun:
    tokens, other = sign_in(site, "alice"), sign_in(site, "alice")
    path = f"/users/me/sessions/{tokens['session_id']}"
    return tokens, lambda: call(site, "DELETE", path, other["access_token"])


def by_new_password(site: Site, round_: int) -> Begun:
    passwords = [f"{PASSWORD} {number}" if number else PASSWORD for number in (round_, round_ + 1)]
    tokens, other = (sign_in(site, "bob", passwords[0]) for _ in range(2))
    body = dict(zip(("current_password", "new_password"), passwords, strict=True))
    path = "/users/me/password"
    return tokens, lambda: call(site, "PUT", path, other["access_token"], json=body)


def by_deactivation(site: Site, round_: int) -> Begun:
    user = register_caller(site.app, f"deactivated{round_}")
    admin, path = sign_in(site, "admin")["access_token"], f"/users/{user.id}"
    return user.tokens, lambda: call(site, "PATCH", path, admin, json={"is_active": False})


def by_end_of_account(site: Site, round_: int) -> Begun:
    user = register_caller(site.app, f"deleted{round_}")
    other = sign_in(site, f"deleted{round_}")
    return user.tokens, lambda: call(site, "DELETE", "/users/me", other["access_token"])


ENDS = (by_logout, by_logout_all, by_deletion, by_new_password, by_deactivation, by_end_of_account)

ROUNDS = 4


@both_databases
def test_a_refresh_beside_the_end_of_its_session_leaves_no_good_token(site: Site) -> None:
    for name in ("alice", "bob"):
        register_caller(site.app, name)
    register_caller(site.app, "admin", roles=("admin",))
    before = audit_trail(site.app, "session.reuse_detected")
    for begin in ENDS:
        for round_ in range(ROUNDS):
            tokens, end = begin(site, round_)
            ended, answer = all_at_once([end, lambda tokens=tokens: refresh(site, tokens)])
            assert ended.status_code in (200, 204), (begin.__name__, ended.text)
            assert answer.status_code in (200, 401), (begin.__name__, answer.text)
            assert_dead(site, tokens, *([answer.json()] if answer.status_code == 200 else []))
    assert audit_trail(site.app, "session.reuse_detected") == before


@both_databases
def test_guesses_over_all_workers_get_five_answers(site: Site) -> None:
    """No caller retries: the answer `busy` reveals nothing."""
    victim = register_caller(site.app, "victim")
    before = len(audit_trail(site.app, "session.sign_in_failed"))

    def guess(number: int) -> requests.Response:
        body = {"identifier": "victim", "password": f"guess {number}"}
        client = site.server.client(until_served=False)
        return client.post("/api/v1/auth/login", json=body)

    answers = all_at_once([lambda n=n: guess(n) for n in range(100)], until_served=False)
    told = Counter(answer.status_code for answer in answers)
    assert 1 <= told[401] <= 5
    assert set(told) <= {401, 429, 503}
    assert all("Retry-After" in a.headers for a in answers if a.status_code != 401)
    assert len(audit_trail(site.app, "session.sign_in_failed")) == before + told[401]
    assert call(site, "GET", "/users/me", victim.tokens["access_token"]).status_code == 200


# Signing keys.


def hand_over(site: Site) -> None:
    """Make the next key, and let it sign at once, as if it had been published long enough."""
    with site.app.app_context():
        rotate(RotationCause.ORDER, request=RequestInfo())
        newest = select(func.max(SigningKey.serial)).scalar_subquery()
        with transaction() as session:
            session.execute(
                update(SigningKey)
                .where(SigningKey.serial == newest)
                .values(active_from=now())
                .execution_options(synchronize_session=False)
            )


@both_databases
def test_under_load_rotations_cost_no_token_and_a_deactivation_holds_at_once(
    site: Site,
) -> None:
    users = [register_caller(site.app, f"user{number}") for number in range(6)]
    admin = register_caller(site.app, "operator", roles=("admin",)).tokens["access_token"]
    victim = users[0]
    deactivated_at: list[float] = []

    def work(user: Caller) -> list[tuple[float, int]]:
        answers = []
        for _ in range(10):
            began_at = time.monotonic()
            me = call(site, "GET", "/users/me", user.tokens["access_token"])
            answers.append((began_at, me.status_code))
            began_at = time.monotonic()
            response = refresh(site, user.tokens)
            answers.append((began_at, response.status_code))
            if response.status_code == 200:
                user.tokens |= response.json()
        return answers

    def disturb() -> list[tuple[float, int]]:
        hand_over(site)
        hand_over(site)
        path = f"/users/{victim.id}"
        response = call(site, "PATCH", path, admin, json={"is_active": False})
        deactivated_at.append(time.monotonic())
        hand_over(site)
        return [(0, response.status_code)]

    disturbed, *answers = all_at_once([disturb, *(lambda u=user: work(u) for user in users)])
    assert disturbed == [(0, 200)]
    for of_user in answers[1:]:
        assert {status for _, status in of_user} == {200}
    assert {status for _, status in answers[0]} <= {200, 401}
    assert {status for began_at, status in answers[0] if began_at > deactivated_at[0]} <= {401}
    assert_dead(site, victim.tokens)


def test_rotations_and_a_restart_revive_nothing_and_end_nothing(site: Site) -> None:
    live, ended = (register_caller(site.app, name) for name in ("live", "ended"))
    spent = dict(ended.tokens)
    ended.tokens |= refresh(site, ended.tokens).json()
    assert call(site, "POST", "/auth/logout", ended.tokens["access_token"]).status_code == 204

    with site.app.app_context():
        before = len(list_keys())
        for _ in range(5):
            hand_over(site)
        assert len(list_keys()) == before + 5

    for is_restarted in (False, True):
        if is_restarted:
            site.restart()
        for _ in range(6):
            assert call(site, "GET", "/users/me", live.tokens["access_token"]).status_code == 200
        new = sign_in_over(site, "live")
        assert call(site, "GET", "/users/me", new["access_token"]).status_code == 200
        live.tokens |= refresh(site, live.tokens).json()
        assert_dead(site, ended.tokens, spent)


def sign_in_over(site: Site, name: str) -> Tokens:
    """Sign in at the server itself, with a password hash of its own cost from then on."""
    body = {"identifier": name, "password": PASSWORD}
    response = call(site, "POST", "/auth/login", json=body)
    assert response.status_code == 200, response.text
    tokens: Tokens = response.json()
    return tokens
