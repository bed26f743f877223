"""The return from a provider: whom it lets in, and what it refuses."""

import logging
import sqlite3
from base64 import urlsafe_b64encode
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import QueuePool, select

from authserve.core.clock import now
from authserve.database.transactions import db, read_all
from authserve.federation.identities import find_identities
from authserve.federation.policy import LinkPolicy
from authserve.settings.model import EmailVerification, Registration
from authserve.users.models import TABLE as USERS
from tests.federation.conftest import MakeSite
from tests.support.browsing import Shown, Visit
from tests.support.clients import register_caller
from tests.support.factors import give_totp
from tests.support.messages import messages
from tests.support.provider_sign_in import SLUG, adjust_provider, code_of, set_out
from tests.support.providers import Answer, ProviderServer, Question
from tests.support.rows import audit_trail, change_user, count_sessions, session_row
from tests.support.totp import code_at

EMAIL = "alice@example.com"


def sign_in(visit: Visit, server: ProviderServer, **fields: str) -> Shown:
    """Go to the provider and come back."""
    return set_out(visit, server, **fields).come_back()


def users(site: Flask) -> list[dict[str, Any]]:
    """Return all accounts."""
    with site.app_context():
        rows = read_all(select(USERS).order_by(USERS.c.created_at))
    return [dict(row._mapping) for row in rows]


class TestFirstSignIn:
    """An unknown person gets an account."""

    def test_it_opens_an_account_without_a_password(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        answer = sign_in(visit, server)
        assert (answer.status, answer.location) == (303, "/account")
        assert answer.headers["Cache-Control"] == "no-store"
        assert "flow" not in "".join(visit.cookie_names())
        shown = visit.open("/account")
        assert (shown.status, EMAIL in shown.text) == (200, True)
        (user,) = users(site)
        assert user["email"] == EMAIL
        assert (user["password_hash"], user["display_name"]) == (None, "Alice")
        assert (user["email_verified"], user["is_active"]) == (False, True)
        assert user["activated_at"] is not None
        with site.app_context():
            (identity,) = find_identities(user["id"])
        assert (identity.issuer, identity.email) == (server.issuer, EMAIL)
        assert identity.last_used_at is not None

    def test_the_trail_names_the_provider_and_no_person(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        sign_in(visit, server)
        (registered,) = audit_trail(site, "user.registered")
        assert registered["details"] == {"provider": SLUG}
        (linked,) = audit_trail(site, "identity.linked")
        assert linked["details"] == {"provider": SLUG}
        (started,) = audit_trail(site, "session.started")
        assert started["details"]["amr"] == ["fed"]
        assert started["details"]["provider"] == SLUG

    def test_its_address_is_verified_only_if_that_is_trusted(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        sign_in(visit, server)
        adjust_provider(site, trusts_email=True)
        server.claims |= {"sub": "2", "email": "bob@example.com"}
        sign_in(Visit(site), server)
        assert [user["email_verified"] for user in users(site)] == [False, True]

    def test_an_address_that_is_not_verified_gets_a_link_in_the_persons_language(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        set_out(visit, server, language="de").come_back()
        assert [user["locale"] for user in users(site)] == ["de"]
        assert [message["payload"] for message in messages(site)] == [
            {"email": EMAIL, "locale": "de"}
        ]

    def test_a_verified_one_gets_none(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        adjust_provider(site, trusts_email=True)
        sign_in(visit, server)
        assert messages(site) == []

    def test_where_addresses_must_be_verified_it_waits_for_that(
        self, make_site: MakeSite, server: ProviderServer
    ) -> None:
        site = make_site(email_verification=EmailVerification.REQUIRED)
        visit = Visit(site)
        shown = sign_in(visit, server)
        assert (shown.status, code_of(shown)) == (403, "email_not_verified")
        assert visit.cookie() is None
        (user,) = users(site)
        change_user(site, user["id"], email_verified=True)
        assert sign_in(visit, server).location == "/account"

    def test_a_second_one_is_the_same_account(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        sign_in(visit, server)
        server.claims |= {"email": "other@example.com"}
        sign_in(Visit(site), server)
        (user,) = users(site)
        assert user["email"] == EMAIL
        assert count_sessions(site, user_id=user["id"]) == 2


class TestJourney:
    """The person's wishes survive the way to the provider and back."""

    def test_the_target_and_the_wish_to_stay_signed_in(
        self, visit: Visit, server: ProviderServer
    ) -> None:
        token = visit.open(visit.open("/account/sessions").location).form("/sign-in")["continue"]
        assert token
        answer = sign_in(visit, server, **{"continue": token, "remember": "1"})
        assert answer.location == "/account/sessions"
        (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("authserve=")]
        assert "Max-Age" in cookie

    def test_the_second_factor_is_asked_for_as_after_a_password(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        sign_in(visit, server)
        (user,) = users(site)
        secret = give_totp(site, user["id"])
        other = Visit(site)
        token = other.open(other.open("/account/sessions").location).form("/sign-in")["continue"]
        shown = other.follow(sign_in(other, server, **{"continue": token}))
        assert shown.title.startswith("Enter your code")
        assert other.cookie() is None
        done = other.give(shown, code=code_at(secret, now()))
        assert done.title.startswith("Sessions")
        started = audit_trail(site, "session.started")[-1]["details"]
        assert (started["amr"], started["provider"]) == (["fed", "otp", "mfa"], SLUG)
        row = session_row(site, UUID(started["session_id"]))
        assert row is not None
        assert row["provider"] == SLUG

    @pytest.mark.parametrize(("trusts_mfa", "leads_to"), [(False, "/sign-in"), (True, "/account")])
    def test_a_second_factor_there_counts_only_if_it_is_trusted(
        self,
        site: Flask,
        visit: Visit,
        server: ProviderServer,
        trusts_mfa: bool,
        leads_to: str,
    ) -> None:
        adjust_provider(site, trusts_mfa=trusts_mfa)
        server.claims |= {"amr": ["pwd", "mfa"]}
        sign_in(visit, server)
        give_totp(site, users(site)[0]["id"])
        answer = sign_in(Visit(site), server)
        assert answer.location.startswith(leads_to)

    def test_a_former_sign_in_there_is_no_recent_proof(
        self, visit: Visit, server: ProviderServer
    ) -> None:
        server.claims["auth_time"] = int(now().timestamp()) - 3_600
        sign_in(visit, server)
        asked = visit.open("/account/email")
        assert asked.location.startswith("/account/confirm?")
        server.claims["auth_time"] = int(now().timestamp())
        shown = visit.open(asked.location)
        target = shown.form(f"/sign-in/with/{SLUG}")["continue"]
        answer = sign_in(visit, server, **{"continue": target})
        assert (answer.status, answer.location) == (303, "/account/email")
        assert visit.open("/account/email").status == 200

    def test_a_target_that_is_none_of_ours_is_dropped(
        self, visit: Visit, server: ProviderServer
    ) -> None:
        fields = {"continue": "https://evil.example/; Path=/"}
        assert sign_in(visit, server, **fields).location == "/account"

    def test_the_code_is_redeemed_with_the_verifier_of_its_challenge(
        self, visit: Visit, server: ProviderServer
    ) -> None:
        journey = set_out(visit, server)
        journey.come_back(code="a code of the provider")
        (question,) = server.asked("/token")
        assert question.fields["code"] == "a code of the provider"
        assert question.fields["redirect_uri"] == journey.asked["redirect_uri"]
        hashed = sha256(question.fields["code_verifier"].encode()).digest()
        challenge = urlsafe_b64encode(hashed).decode().rstrip("=")
        assert challenge == journey.asked["code_challenge"]

    def test_a_browser_has_one_session(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        register_caller(site, "bob")
        visit.sign_in("bob")
        before = visit.session_id
        sign_in(visit, server)
        assert visit.session_id != before
        ended = audit_trail(site, "session.revoked")[-1]["details"]
        assert ended["reason"] == "replaced"


def test_sixty_answers_a_minute_come_from_one_address(make_site: MakeSite) -> None:
    visit = Visit(make_site(ratelimit_enabled=True))
    path = f"/sign-in/with/{SLUG}/callback"
    found = [visit.open(path).status for _ in range(61)]
    assert found == [400] * 60 + [429]


class TestRefusals:
    """The decision says no, the page says why, and the trail keeps the reason."""

    def check(self, site: Flask, shown: Shown, status: int, code: str) -> None:
        assert (shown.status, code_of(shown)) == (status, code)
        (event,) = audit_trail(site, "identity.sign_in_refused")
        assert event["details"] == {"reason": code, "provider": SLUG}
        assert event["outcome"] == "failure"
        assert count_sessions(site) == 0

    def test_closed_registration(self, make_site: MakeSite, server: ProviderServer) -> None:
        site = make_site(registration=Registration.CLOSED)
        self.check(site, sign_in(Visit(site), server), 403, "sign_up_closed")

    def test_a_foreign_domain(self, site: Flask, visit: Visit, server: ProviderServer) -> None:
        adjust_provider(site, allowed_domains=frozenset({"example.org"}))
        self.check(site, sign_in(visit, server), 403, "domain_not_allowed")

    def test_a_disabled_account(self, site: Flask, visit: Visit, server: ProviderServer) -> None:
        sign_in(visit, server)
        (user,) = users(site)
        visit.fill("/sign-out")
        change_user(site, user["id"], is_active=False)
        shown = sign_in(Visit(site), server)
        assert (shown.status, code_of(shown)) == (403, "account_disabled")
        assert [each["is_active"] for each in users(site)] == [False]

    def test_an_account_with_the_address(
        self, site: Flask, visit: Visit, server: ProviderServer
    ) -> None:
        adjust_provider(site, link=LinkPolicy.NEVER)
        before = register_caller(site, "alice").session_id
        assert before
        shown = sign_in(visit, server)
        assert (shown.status, code_of(shown)) == (409, "account_exists")
        assert visit.cookie_names() == []
        with site.app_context():
            assert find_identities(users(site)[0]["id"]) == []


def test_no_connection_waits_with_the_person(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    """A slow provider must not take the connections of the others."""
    with site.app_context():
        pool = db.engine.pool
    assert isinstance(pool, QueuePool)
    found, redeem = [], server.answers["/token"]

    def count_and_redeem(question: Question) -> Answer:
        found.append(pool.checkedout())
        return redeem(question)

    server.answers["/token"] = count_and_redeem
    assert sign_in(visit, server).location == "/account"
    assert found == [0]


def test_nothing_of_the_providers_tokens_is_stored(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    given: list[str] = []

    def redeem(_question: Question) -> Answer:
        given[:] = ["an-access-token", "a-refresh-token", server.sign()]
        names = ("access_token", "refresh_token", "id_token")
        return Answer({**dict(zip(names, given, strict=True)), "token_type": "Bearer"})

    server.answers["/token"] = redeem
    assert sign_in(visit, server).location == "/account"
    with site.app_context(), db.engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert isinstance(raw, sqlite3.Connection)
        stored = "\n".join(raw.iterdump())
    assert EMAIL in stored
    assert [token for token in given if token in stored] == []


def test_no_log_line_has_a_secret(
    site: Flask, visit: Visit, server: ProviderServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    journey = set_out(visit, server)
    journey.come_back(code="the-code-of-this-way")
    journey.come_back(code="the-code-of-this-way", error="<script>")
    (question,) = server.asked("/token")
    shown = "\n".join(str(vars(record)) for record in caplog.records)
    for secret in (
        "the-code-of-this-way",
        journey.asked["state"],
        journey.asked["nonce"],
        question.fields["code_verifier"],
        server.sign()[:30],
        EMAIL,
        "<script>",
    ):
        assert secret not in shown
