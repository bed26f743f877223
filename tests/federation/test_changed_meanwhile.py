"""A provider that an operator changes while a person's answer is under way."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import select

from authserve.core.actor import OPERATOR, RequestInfo
from authserve.database.transactions import read_all
from authserve.federation.end_sessions import end_sessions_by_provider
from authserve.federation.registry import delete_provider
from authserve.sessions.statements import TABLE as SESSIONS
from tests.support.browsing import Visit
from tests.support.crowd import all_at_once
from tests.support.marks import both_databases
from tests.support.provider_sign_in import (
    SLUG,
    adjust_provider,
    code_of,
    count_rows,
    set_out,
)
from tests.support.providers import Answer, ProviderServer, Question

pytestmark = both_databases

CALLERS = 19

Change = Callable[[Flask], None]


def delete(site: Flask) -> None:
    """Delete the provider."""
    with site.app_context():
        delete_provider(SLUG, actor=OPERATOR, request=RequestInfo())


def disable(site: Flask) -> None:
    """Disable the provider."""
    adjust_provider(site, enabled=False)


def distrust(site: Flask) -> None:
    """Take the word of the provider for a second factor no more."""
    adjust_provider(site, trusts_mfa=False)


def change_before_the_answer(site: Flask, server: ProviderServer, change: Change) -> None:
    """Let a change come while the service waits for the provider."""

    def answer(_question: Question) -> Answer:
        change(site)
        return Answer({"access_token": "at", "id_token": server.sign()})

    server.answers["/token"] = answer


@pytest.mark.parametrize("change", [delete, disable, distrust])
def test_no_session_begins_by_it(
    site: Flask, visit: Visit, server: ProviderServer, change: Change
) -> None:
    """The command that ends its sessions, which an operator runs next, would miss this one."""
    adjust_provider(site, trusts_mfa=True)
    set_out(visit, server).come_back()
    change_before_the_answer(site, server, change)
    other = Visit(site)
    refused = set_out(other, server).come_back()
    assert (refused.status, code_of(refused)) == (400, "state_invalid")
    assert other.cookie() is None
    assert count_rows(site) == [1, 1, 1]


def test_no_account_is_opened_by_it(site: Flask, visit: Visit, server: ProviderServer) -> None:
    change_before_the_answer(site, server, disable)
    refused: Any = set_out(visit, server).come_back()
    assert (refused.status, code_of(refused)) == (400, "state_invalid")
    assert count_rows(site) == [0, 0, 0]


def test_no_session_outlives_the_end_of_a_disabled_provider(
    site: Flask, server: ProviderServer
) -> None:
    """Sign-ins that are under way begin no session, or one that the command finds."""
    journeys = [set_out(Visit(site), server) for _ in range(CALLERS)]
    tokens = {
        f"code {number}": server.sign(nonce=journey.asked["nonce"], sub=f"person {number}")
        for number, journey in enumerate(journeys)
    }
    server.answers["/token"] = lambda question: Answer(
        {"access_token": "at", "id_token": tokens[question.fields["code"]]}
    )

    def end() -> None:
        disable(site)
        with site.app_context():
            end_sessions_by_provider(SLUG, actor=OPERATOR, request=RequestInfo())

    returns = [partial(j.come_back, code=code) for j, code in zip(journeys, tokens, strict=True)]
    all_at_once([*returns, end])
    with site.app_context():
        assert read_all(select(SESSIONS.c.id).where(SESSIONS.c.revoked_at.is_(None))) == []
