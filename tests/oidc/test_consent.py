"""A person allows an app to use the account, or refuses it."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import time_machine
from flask import Flask

from authserve.clients.kinds import ClientKind
from authserve.clients.registry import get_client
from authserve.core.clock import now
from authserve.core.errors import SessionRevokedError
from authserve.oidc.consents import find_consent
from authserve.web.continuation import ANSWER_TTL
from tests.oidc.conftest import App, MakeApp
from tests.oidc.test_authorize import answer_of, ask, leave, query
from tests.support.browsing import OWN_FORM, Shown, Visit, find_unsafe_markup
from tests.support.clients import Caller
from tests.support.mail import open_mailbox, work
from tests.support.oauth_clients import allow_client
from tests.support.rows import audit_trail, change_session

LOOPBACK = "http://127.0.0.1/callback"
AT_PORT = "http://127.0.0.1:50123/callback"


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with pages and the identity provider."""
    return make_app(features=("pages", "oidc"))


@pytest.fixture
def wiki(make_client: MakeApp) -> App:
    """An app of strangers."""
    return make_client(first_party=False)


@pytest.fixture
def visit(app: Flask, alice: Caller) -> Visit:
    """Alice's browser."""
    visit = Visit(app)
    visit.sign_in()
    return visit


def consent_page(visit: Visit, **changes: str | None) -> Shown:
    led = ask(visit, **changes)
    assert (led.status, led.location.partition("?")[0]) == (303, "/consent"), led.html
    return visit.open(led.location)


def press(visit: Visit, page: Shown, answer: str = "allow", **fields: str) -> Shown:
    return visit.follow(
        visit.send("/consent", {**page.form("/consent"), "answer": answer, **fields})
    )


def consented(app: Flask, caller: Caller, client_id: str = "wiki") -> set[str] | None:
    with app.app_context():
        found = find_consent(caller.id, client_id)
    return None if found is None else set(found.scopes)


class TestPage:
    def test_it_says_who_asks_for_what_and_for_how_long(self, visit: Visit, wiki: App) -> None:
        page = consent_page(visit, scope="openid email")
        assert find_unsafe_markup(page.html) == []
        for words in (
            "Allow Wiki?",
            "You return to wiki.example.com .",
            "See which account is yours",
            "See your email address",
            "Until you sign out here, for at most 30 days.",
            'under "Apps with access" in your account',
        ):
            assert words in page.text
        assert "form-action 'self'" in page.headers["Content-Security-Policy"]
        assert page.headers["Referrer-Policy"] == "same-origin"

    def test_it_says_that_an_app_goes_on_without_the_person(self, visit: Visit, wiki: App) -> None:
        page = consent_page(visit, scope="openid offline_access")
        assert "Also while you are away, for at most 90 days." in page.text

    def test_an_app_without_a_request_has_no_page(self, visit: Visit, wiki: App) -> None:
        for token in ("", "x", Visit(wiki.app).open("/account").location.partition("=")[2]):
            shown = visit.follow(visit.open(f"/consent?continue={token}"))
            assert shown.status == 400

    def test_a_person_who_signed_out_meanwhile_signs_in_and_comes_back(
        self, visit: Visit, wiki: App
    ) -> None:
        led = ask(visit).location
        other = Visit(wiki.app)
        page = other.follow(other.open(led))
        assert "Allow Wiki?" in leave_to_page(other, other.sign_in_from(page)).text


def leave_to_page(visit: Visit, between: Shown) -> Shown:
    return visit.follow(leave(visit, between))


class TestAllowing:
    def test_the_app_gets_its_code_and_the_person_a_mail(
        self, visit: Visit, wiki: App, alice: Caller
    ) -> None:
        between = press(visit, consent_page(visit, scope="openid email"))
        assert "You are on the way to wiki.example.com ." in between.text
        told = answer_of(leave(visit, between))
        tokens = wiki.redeem(told["code"]).get_json()
        assert tokens["scope"] == "openid email"
        assert wiki.refresh(tokens["refresh_token"]).status_code == 200
        assert consented(wiki.app, alice) == {"openid", "email"}
        (event,) = audit_trail(wiki.app, "consent.granted")
        assert event["details"] == {"client_id": "wiki", "scope": "email openid"}
        mailbox = open_mailbox(wiki.app)
        work(wiki.app)
        mail = mailbox.to("alice@example.com")[-1]
        assert 'You allowed the app "Wiki" to use your account.' in mail.text

    def test_it_is_not_asked_for_again(self, visit: Visit, wiki: App, alice: Caller) -> None:
        press(visit, consent_page(visit, scope="openid email"))
        for scope in ("openid email", "openid", "email"):
            assert "code" in answer_of(ask(visit, scope=scope)), scope
        assert "code" in answer_of(ask(visit, scope="openid", prompt="none"))

    def test_a_narrower_one_shrinks_nothing(self, visit: Visit, wiki: App, alice: Caller) -> None:
        press(visit, consent_page(visit, scope="openid email"))
        press(visit, consent_page(visit, scope="openid", prompt="consent"))
        assert consented(wiki.app, alice) == {"openid", "email"}
        press(visit, consent_page(visit, scope="openid groups"))
        assert consented(wiki.app, alice) == {"openid", "email", "groups"}
        assert len(audit_trail(wiki.app, "consent.granted")) == 2

    def test_only_what_was_shown_is_allowed(self, visit: Visit, wiki: App, alice: Caller) -> None:
        """The person may have gained a permission while the page was open."""
        page = consent_page(visit, scope="openid email")
        between = press(visit, page, scope="openid profile")
        assert consented(wiki.app, alice) == {"openid"}
        assert "Allow Wiki?" in leave_to_page(visit, between).text

    def test_prompt_consent_asks_once(self, visit: Visit, wiki: App) -> None:
        press(visit, consent_page(visit))
        between = press(visit, consent_page(visit, prompt="consent"))
        assert "code" in answer_of(leave(visit, between))

    def test_a_silent_request_is_refused_without_it(self, visit: Visit, wiki: App) -> None:
        assert answer_of(ask(visit, prompt="none"))["error"] == "consent_required"

    def test_another_user_is_asked_for_herself(self, visit: Visit, wiki: App, bob: Caller) -> None:
        press(visit, consent_page(visit))
        other = Visit(wiki.app)
        other.sign_in("bob")
        assert consent_page(other).status == 200


class TestRefusing:
    def test_the_app_is_told(self, visit: Visit, wiki: App, alice: Caller) -> None:
        between = press(visit, consent_page(visit), "refuse")
        told = answer_of(leave(visit, between))
        assert told["error"] == "access_denied"
        assert consented(wiki.app, alice) is None
        (event,) = audit_trail(wiki.app, "oauth.denied")
        assert (event["outcome"], event["details"]) == ("failure", {"client_id": "wiki"})

    def test_what_was_allowed_stays(self, visit: Visit, wiki: App, alice: Caller) -> None:
        press(visit, consent_page(visit))
        press(visit, consent_page(visit, scope="openid email"), "refuse")
        assert consented(wiki.app, alice) == {"openid"}


class TestInstalledApps:
    @pytest.fixture(params=[True, False], ids=["of the operator", "of strangers"])
    def native(self, make_client: MakeApp, request: pytest.FixtureRequest) -> App:
        """An app that listens on a port of the person's machine."""
        return make_client(
            kind=ClientKind.NATIVE,
            redirect_uris=(LOOPBACK,),
            scopes=("openid",),
            first_party=request.param,
        )

    def test_they_are_shown_each_time(self, visit: Visit, native: App) -> None:
        for _ in range(2):
            page = consent_page(visit, redirect_uri=AT_PORT)
            assert "Go on only if you have just started it yourself." in page.text
            between = press(visit, page)
            assert "code" in answer_of(leave(visit, between), AT_PORT)
        silent = answer_of(ask(visit, redirect_uri=AT_PORT, prompt="none"), AT_PORT)
        assert silent["error"] == "interaction_required"

    def test_an_answer_counts_for_minutes_in_its_session(
        self, clock: time_machine.Traveller, visit: Visit, native: App
    ) -> None:
        between = press(visit, consent_page(visit, redirect_uri=AT_PORT))
        other = Visit(native.app)
        other.sign_in()
        assert leave(other, between).location.startswith("/consent?")
        clock.shift(ANSWER_TTL + timedelta(seconds=1))
        assert leave(visit, between).location.startswith("/consent?")

    def test_those_of_the_operator_need_no_consent(
        self, visit: Visit, native: App, alice: Caller
    ) -> None:
        press(visit, consent_page(visit, redirect_uri=AT_PORT))
        with native.app.app_context():
            is_own = get_client("wiki").configuration.first_party
        assert (consented(native.app, alice) is None) == is_own
        assert bool(audit_trail(native.app, "consent.granted")) != is_own


class TestForm:
    def test_a_foreign_one_changes_nothing(self, visit: Visit, wiki: App, alice: Caller) -> None:
        fields = {**consent_page(visit).form("/consent"), "answer": "allow"}
        foreign: list[dict[str, str]] = [
            {},
            {"Origin": "null"},
            {"Origin": "https://evil.example"},
            {**OWN_FORM, "Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
        ]
        for headers in foreign:
            assert visit.send("/consent", fields, headers=headers).status == 403, headers
        assert visit.send("/consent", {**fields, "token": "00"}).status == 403
        assert consented(wiki.app, alice) is None

    @pytest.mark.parametrize("fields", [{"answer": "perhaps"}, {"answer": ""}, {"more": "x"}])
    def test_a_malformed_one_is_refused(
        self, visit: Visit, wiki: App, alice: Caller, fields: dict[str, str]
    ) -> None:
        given = {**consent_page(visit).form("/consent"), "answer": "allow", **fields}
        assert visit.send("/consent", given).status == 422
        assert consented(wiki.app, alice) is None

    def test_of_a_session_that_ended_it_gives_nothing(
        self, visit: Visit, wiki: App, alice: Caller
    ) -> None:
        fields = {**consent_page(visit).form("/consent"), "answer": "allow"}
        change_session(wiki.app, visit.session_id, revoked_at=now())
        assert visit.send("/consent", fields).location.startswith("/sign-in")
        assert consented(wiki.app, alice) is None


def test_the_longest_query_fits_with_its_answer(visit: Visit, wiki: App) -> None:
    rest = 1_800 - len(query()) - len("&x=")
    led = visit.open(f"/oauth/authorize?{query()}&x={'a' * rest}")
    between = press(visit, visit.open(led.location))
    assert "code" in answer_of(leave(visit, between))


def test_a_session_that_ends_while_its_person_answers_allows_nothing(
    app: Flask, wiki: App, alice: Caller
) -> None:
    change_session(app, alice.session_id, revoked_at=now(), revoke_reason="logout")
    with pytest.raises(SessionRevokedError):
        allow_client(app, "wiki", user_id=alice.id, session_id=alice.session_id)
    assert consented(app, alice) is None
