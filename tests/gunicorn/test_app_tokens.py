"""Codes and refresh tokens of apps on a real server: two processes that share only the database."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest
import requests
from sqlalchemy import update

from authserve.core.clock import now
from authserve.core.crypto import digest, random_bytes
from authserve.database.transactions import transaction
from authserve.oidc.codes import CODE_TTL
from authserve.oidc.models import AuthorizationCode
from authserve.oidc.redeem import REPLAY_GRACE
from tests.gunicorn.conftest import Site, running_site
from tests.oidc.conftest import CALLBACK, VERIFIER, App, claims_of
from tests.support.clients import register_caller
from tests.support.crowd import all_at_once, within
from tests.support.faults import rounds
from tests.support.marks import both_databases
from tests.support.oauth_clients import give_client
from tests.support.rows import audit_trail, change_session, count_sessions

pytestmark = [pytest.mark.gunicorn, pytest.mark.fault, both_databases]

REFRESH_GRACE_SECS = 60
"""The app's own, so that no refresh of a crowd comes too late on a busy machine."""


@dataclass(frozen=True)
class ServedApp:
    """An app whose codes the test issues itself, and whose calls go to the server.

    Each call has a connection of its own, to whichever worker takes it.
    """

    site: Site
    issuer: App

    def _call(self, **fields: str) -> requests.Response:
        own = {"client_id": self.issuer.client_id, "client_secret": self.issuer.secret}
        client = self.site.server.client()
        return client.post("/oauth/token", data={**own, **fields})

    def redeem(self, code: str) -> requests.Response:
        """Exchange a code."""
        proof = {"code_verifier": VERIFIER, "redirect_uri": CALLBACK}
        return self._call(grant_type="authorization_code", code=code, **proof)

    def refresh(self, token: str) -> requests.Response:
        """Exchange a refresh token."""
        return self._call(grant_type="refresh_token", refresh_token=token)

    def userinfo(self, token: str) -> int:
        """Return the status that an access token gets."""
        headers = {"Authorization": f"Bearer {token}"}
        client = self.site.server.client()
        return client.get("/oauth/userinfo", headers=headers).status_code


@pytest.fixture(scope="module")
def wiki(
    request: pytest.FixtureRequest, database_kind: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ServedApp]:
    """An app at a server of two workers, whose user has a browser's session."""
    folder, workers = tmp_path_factory.mktemp("site"), {"WEB_CONCURRENCY": "2"}
    with running_site(request, database_kind, folder, workers, features=("pages", "oidc")) as site:
        alice = register_caller(site.app, "alice")
        cookie = random_bytes(32)
        change_session(site.app, alice.session_id, kind="browser", cookie_digest=cookie)
        grace = REFRESH_GRACE_SECS
        secret = give_client(site.app, first_party=True, refresh_grace=grace).secret
        yield ServedApp(site, App(site.app, "wiki", alice.id, alice.session_id, secret))


def age_use(wiki: ServedApp, code: str) -> None:
    """Let the first use of a code be longer ago than the grace, and the code live on."""
    is_it = AuthorizationCode.digest == digest(code.encode())
    past = now() - REPLAY_GRACE - REPLAY_GRACE
    with wiki.site.app.app_context(), transaction() as session:
        values = {"used_at": past, "expires_at": now() + CODE_TTL}
        session.execute(update(AuthorizationCode).where(is_it).values(values))


INVALID = (400, "invalid_grant")


def error(answer: requests.Response) -> tuple[int, str]:
    """Return the status of a refusal, and its code."""
    return answer.status_code, answer.json()["error"]


def count_app_sessions(wiki: ServedApp) -> int:
    return count_sessions(wiki.site.app, kind="app")


def count_reuses(wiki: ServedApp) -> int:
    return len(audit_trail(wiki.site.app, "oauth.code_reused"))


def redeem_at_once(wiki: ServedApp) -> tuple[str, list[requests.Response]]:
    """Return a code, and the answers of twenty that redeem it at once and begin one session."""

    def redeem() -> tuple[str, list[requests.Response]]:
        code, before = wiki.issuer.make_code("openid"), count_app_sessions(wiki)
        answers = all_at_once([partial(wiki.redeem, code)] * 20)
        assert count_app_sessions(wiki) - before == 1
        return code, answers

    return within(REPLAY_GRACE.total_seconds(), redeem)


def test_a_code_has_one_winner_whose_tokens_live_until_it_is_used_again(wiki: ServedApp) -> None:
    for _ in range(rounds(2, at_most=20)):
        code, answers = redeem_at_once(wiki)
        reuses = count_reuses(wiki)
        (winner,) = [answer for answer in answers if answer.status_code == 200]
        assert [error(it) for it in answers if it is not winner] == [INVALID] * 19
        tokens = winner.json()
        assert wiki.userinfo(tokens["access_token"]) == 200
        rotated = wiki.refresh(tokens["refresh_token"])
        assert rotated.status_code == 200
        age_use(wiki, code)
        assert error(wiki.redeem(code)) == INVALID
        for pair in (tokens, rotated.json()):
            assert wiki.userinfo(pair["access_token"]) == 401
            assert error(wiki.refresh(pair["refresh_token"])) == INVALID
        assert count_reuses(wiki) == reuses + 1


def test_fifty_refreshes_at_once_make_one_chain(wiki: ServedApp) -> None:
    tokens = wiki.redeem(wiki.issuer.make_code("openid")).json()
    answers = all_at_once([partial(wiki.refresh, tokens["refresh_token"])] * 50)
    assert [answer.status_code for answer in answers] == [200] * 50
    found = [claims_of(answer.json()["refresh_token"]) for answer in answers]
    assert {(each["sid"], each["gen"]) for each in found} == {
        (claims_of(tokens["access_token"])["sid"], 1)
    }
    assert wiki.refresh(answers[-1].json()["refresh_token"]).status_code == 200
