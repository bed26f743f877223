"""Claims of a hostile or faulty provider whose token is good: what they do to an account."""

import json
from typing import Any

import jwt
import pytest
from flask import Flask

from authserve.users.lookup import get_user_by_reference
from tests.support.browsing import Visit, find_unsafe_markup
from tests.support.provider_sign_in import adjust_provider, code_of, count_rows, set_out
from tests.support.providers import KID, Answer, ProviderServer, Question, provider_key
from tests.support.rows import live_session_row


@pytest.mark.parametrize(
    ("value", "is_verified"),
    [(True, True), (False, False), ("true", False), (1, False), ([True], False), (None, False)],
)
def test_only_the_json_value_true_verifies_an_address(
    site: Flask, visit: Visit, server: ProviderServer, value: Any, is_verified: bool
) -> None:
    adjust_provider(site, trusts_email=True)
    server.claims["email_verified"] = value
    assert set_out(visit, server).come_back().status == 303
    with site.app_context():
        found = get_user_by_reference("alice@example.com")
    assert found.email_verified is is_verified


@pytest.mark.parametrize(
    "value",
    [
        ["alice@example.com"],
        {"address": "alice@example.com"},
        7,
        "",
        "alice",
        "alice@example.com\r\nBcc: all@example.com",
        "<b>alice</b>@example.com",
        "alice@example.com, mallory@example.com",
        "x" * 300 + "@example.com",
    ],
    ids=["list", "object", "number", "empty", "name", "lines", "markup", "two", "long"],
)
def test_an_address_that_is_none_opens_no_account(
    site: Flask, visit: Visit, server: ProviderServer, value: Any
) -> None:
    server.claims["email"] = value
    shown = set_out(visit, server).come_back()
    assert shown.status < 500
    assert visit.cookie() is None
    assert count_rows(site) == [0, 0, 0]


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", "\u202eecilA", "x" * 10_000, ["Alice"], {"a": 1}, "a\0b"]
)
def test_a_name_is_text_of_the_page_or_none(
    site: Flask, visit: Visit, server: ProviderServer, name: Any
) -> None:
    server.claims["name"] = name
    assert set_out(visit, server).come_back().status == 303
    page = visit.open("/account")
    assert page.status == 200
    assert not find_unsafe_markup(page.html)
    assert "<script>alert" not in page.html


@pytest.mark.parametrize(
    ("changes", "level"),
    [
        ({"amr": ["mfa"]}, 2),
        ({"amr": {"mfa": 1}}, 1),
        ({"amr": "mfa"}, 1),
        ({"amr": [["mfa"], "MFA"]}, 1),
        ({"acr": ["aal2"]}, 1),
        ({"acr": 2}, 1),
    ],
)
def test_a_second_factor_counts_in_its_own_shape_alone(
    site: Flask, visit: Visit, server: ProviderServer, changes: dict[str, Any], level: int
) -> None:
    adjust_provider(site, trusts_mfa=True)
    server.claims |= changes
    assert set_out(visit, server).come_back().status == 303
    assert live_session_row(site, visit.session_id)["aal"] == level


def test_a_number_is_no_subject(site: Flask, visit: Visit, server: ProviderServer) -> None:
    def answer(_: Question) -> Answer:
        # `jwt.encode` refuses to sign it.
        claims = json.dumps({**server.make_claims(), "sub": 24400320}).encode()
        token = jwt.PyJWS().encode(claims, provider_key(), "ES256", headers={"kid": KID})
        return Answer({"access_token": "at", "id_token": token})

    server.answers["/token"] = answer
    shown = set_out(visit, server).come_back()
    assert (shown.status, code_of(shown)) == (503, "provider_unavailable")
    assert count_rows(site) == [0, 0, 0]
