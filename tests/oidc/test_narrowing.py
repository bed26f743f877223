"""A refresh gives what client, consent and user have now: narrower or refused, never wider."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import pytest
from sqlalchemy import delete, update

from authserve.database.transactions import transaction
from authserve.oidc.models import UserConsent
from tests.oidc.conftest import App, MakeApp
from tests.oidc.test_apps import STRANGE, allow
from tests.oidc.test_codes import INVALID, change, error
from tests.oidc.test_endings import end_all, end_app, is_usable
from tests.support.clients import Caller
from tests.support.crowd import all_at_once, persistently
from tests.support.marks import both_databases
from tests.support.rows import change_role, change_session

API = "/api/v1"

SCOPES = ("openid", "email", "users:read")


@pytest.fixture
def wiki(make_client: MakeApp, admin: Caller, alice: Caller) -> App:
    """An app of strangers, for which Alice has allowed all; a role lets her read users."""
    role = {"name": "reader", "permissions": ["users:read"]}
    assert admin.post(f"{API}/roles", json=role).status_code == 201
    body = {"roles": ["user", "reader"]}
    assert admin.put(f"{API}/users/{alice.id}/roles", json=body).status_code == 200
    wiki = make_client(**STRANGE)
    allow(wiki, *SCOPES)
    return wiki


def put_to_sleep(wiki: App) -> None:
    change_role(wiki.app, "reader", requires_mfa=True)


def close_to_sleepers(wiki: App) -> None:
    change(wiki, allowed_roles=("reader",))
    put_to_sleep(wiki)


def allow_less(wiki: App) -> None:
    with wiki.app.app_context(), transaction() as session:
        session.execute(update(UserConsent).values(scope="email"))


def forget_consent(wiki: App) -> None:
    with wiki.app.app_context(), transaction() as session:
        session.execute(delete(UserConsent))


@dataclass(frozen=True)
class Loss:
    """A change of a grant, and the scope that is left; None if it is refused."""

    cause: Callable[[App], None]
    left: str | None


LOSSES = {
    "the role sleeps": Loss(put_to_sleep, "openid email"),
    "the app is for a role that sleeps": Loss(close_to_sleepers, None),
    "the app needs more": Loss(partial(change, min_acr="aal2"), None),
    "the app has fewer scopes": Loss(partial(change, scopes=("openid", "groups")), "openid"),
    "the app has other scopes": Loss(partial(change, scopes=("groups",)), None),
    "the consent is for less": Loss(allow_less, "email"),
    "the consent is gone": Loss(forget_consent, None),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_refresh_is_never_wider_than_what_is_left(wiki: App, name: str) -> None:
    tokens, left = wiki.sign_in(*SCOPES), LOSSES[name].left
    assert tokens["scope"] == " ".join(SCOPES)
    LOSSES[name].cause(wiki)
    for asked in (None, " ".join(SCOPES)):
        answer = wiki.refresh(tokens["refresh_token"], scope=asked)
        if left is None:
            assert error(answer) == INVALID
        else:
            assert answer.get_json()["scope"] == left
    is_seen = wiki.userinfo(tokens["access_token"]).status_code == 200
    assert is_seen == ("openid" in (left or ""))


def test_what_another_app_was_allowed_does_not_count(wiki: App, make_client: MakeApp) -> None:
    chat = make_client("chat", **STRANGE)
    allow(chat, *SCOPES)
    tokens = wiki.sign_in(*SCOPES)
    with wiki.app.app_context(), transaction() as session:
        session.execute(delete(UserConsent).where(UserConsent.client_id == wiki.client_id))
    assert error(wiki.refresh(tokens["refresh_token"])) == INVALID


def end_browser(alice: Caller) -> None:
    path = f"{API}/users/me/sessions/{alice.session_id}"
    assert persistently(lambda: alice.delete(path)).status_code == 204


ROUNDS = 4
"""Rounds of each race (chosen: a refresh that revives a session shows in the first ones)."""


@both_databases
@pytest.mark.parametrize("end", [end_app, end_all, end_browser])
def test_no_refresh_outlives_an_end_that_races_it(
    make_client: MakeApp, alice: Caller, end: Callable[[Caller], None]
) -> None:
    wiki = make_client()
    for _ in range(ROUNDS):
        change_session(wiki.app, alice.session_id, revoked_at=None)
        tokens = wiki.sign_in("openid")
        refresh = partial(wiki.refresh, tokens["refresh_token"])
        *answers, _ended = all_at_once([refresh] * 4 + [partial(end, alice)])
        good = [answer.get_json() for answer in answers if answer.status_code == 200]
        assert {error(it) for it in answers if it.status_code != 200} <= {INVALID}
        assert not any(is_usable(wiki, pair) for pair in [tokens, *good])
