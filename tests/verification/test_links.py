"""The tokens in links: their form, and the target of links."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
from flask import Flask
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authserve.verification.policy import Purpose
from authserve.verification.tokens import PAGES, make_link, make_token, read_token
from tests.support.clients import register
from tests.support.mail import open_mailbox, work

ID = UUID("01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f")

NEW_SECRET = "another secret for tests alone, 9876543210"
OLD_SECRET = "a secret for tests alone, 0123456789"

MakeApp = Callable[..., Flask]

arbitrary = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.usefixtures("context")
class TestTokens:
    def test_it_is_always_the_same_and_leads_back(self) -> None:
        assert make_token(ID) == make_token(ID)
        assert read_token(make_token(ID)) == ID
        assert make_token(ID) != make_token(uuid4())

    def test_it_has_256_random_bits(self) -> None:
        raw = urlsafe_b64decode(make_token(ID))
        assert (raw[:16], len(raw[16:])) == (ID.bytes, 32)

    @arbitrary
    @given(st.text())
    def test_no_text_makes_it_fail(self, text: str) -> None:
        assert read_token(text) is None

    @arbitrary
    @given(st.binary(min_size=48, max_size=48))
    def test_no_bytes_are_one(self, raw: bytes) -> None:
        assert read_token(urlsafe_b64encode(raw).decode()) is None

    @arbitrary
    @given(st.integers(0, 48 * 8 - 1))
    def test_every_bit_counts(self, bit: int) -> None:
        raw = bytearray(urlsafe_b64decode(make_token(ID)))
        raw[bit // 8] ^= 1 << bit % 8
        assert read_token(urlsafe_b64encode(raw).decode()) is None

    @pytest.mark.parametrize(
        "change",
        [
            lambda token: token + "=",
            lambda token: token + "====",
            lambda token: f" {token}",
            lambda token: f"{token}\n",
            lambda token: f"{token[:9]}\n{token[9:]}",
            lambda token: f"{token[:9]}.{token[9:]}",
            lambda token: token[:-1],
            lambda token: token + "A",
            lambda token: token * 2,
            lambda token: token.swapcase(),
            lambda token: token.encode().hex(),
            lambda token: token.translate(str.maketrans("-_", "+/")) + "+/",
            lambda token: "\ud800" + token,
            lambda token: "",
        ],
    )
    def test_it_has_one_spelling(self, change: Callable[[str], str]) -> None:
        assert read_token(change(make_token(ID))) is None


class TestSecrets:
    def test_a_fallback_keeps_links_good(self, make_app: MakeApp) -> None:
        with make_app(secret_key=OLD_SECRET).app_context():
            token = make_token(ID)
        changed = make_app(secret_key=NEW_SECRET, secret_key_fallbacks=(OLD_SECRET,))
        with changed.app_context():
            assert read_token(token) == ID
            assert make_token(ID) != token
        with make_app(secret_key=NEW_SECRET).app_context():
            assert read_token(token) is None


class TestWhereTheyLead:
    @pytest.mark.parametrize("purpose", list(Purpose))
    def test_to_a_page_of_the_service_with_the_token_in_the_fragment(
        self, make_app: MakeApp, purpose: Purpose
    ) -> None:
        with make_app(public_url="https://auth.example").app_context():
            expected = f"https://auth.example{PAGES[purpose]}#{make_token(ID)}"
            assert make_link(purpose, ID) == expected

    @pytest.mark.parametrize(
        ("purpose", "setting"),
        [
            (Purpose.VERIFY_EMAIL, "verify_url"),
            (Purpose.RESET_PASSWORD, "reset_url"),
            (Purpose.CHANGE_EMAIL, "email_change_url"),
            (Purpose.INVITATION, "invite_url"),
        ],
    )
    def test_or_to_the_front_end_that_the_settings_name(
        self, make_app: MakeApp, purpose: Purpose, setting: str
    ) -> None:
        app = make_app(**{setting: "https://app.example/go?lang=de#/x/{token}/y"})
        with app.app_context():
            token = make_token(ID)
            assert make_link(purpose, ID) == f"https://app.example/go?lang=de#/x/{token}/y"
            others = [make_link(other, ID) for other in Purpose if other is not purpose]
        assert all(link.startswith("http://localhost:8000/") for link in others)

    def test_never_to_where_a_request_claims_to_be_sent(self, make_app: MakeApp) -> None:
        app = make_app(trusted_proxies=1)
        mailbox = open_mailbox(app)
        client = app.test_client()
        register(client, "alice")
        forged = {
            "Host": "evil.example",
            "X-Forwarded-Host": "evil.example",
            "X-Forwarded-Proto": "https",
            "Forwarded": "host=evil.example",
            "Origin": "https://evil.example",
            "Referer": "https://evil.example/",
        }
        body = {"email": "alice@example.com"}
        client.post("/api/v1/auth/password/forgot", json=body, headers=forged)
        work(app)
        assert len(mailbox.letters) == 2
        for letter in mailbox.letters:
            assert letter.link.startswith("http://localhost:8000/")
            assert "evil" not in letter.message.as_string()
