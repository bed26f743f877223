"""The end of all sessions that were begun by one provider."""

import json
from typing import Any

from flask import Flask
from sqlalchemy import select

from authserve.core.clock import now
from authserve.database.transactions import read_all
from authserve.users.models import TABLE as USERS
from tests.support.browsing import Visit
from tests.support.clients import register_caller
from tests.support.factors import give_totp
from tests.support.provider_sign_in import SLUG, set_out
from tests.support.providers import ProviderServer
from tests.support.rows import audit_trail, change_user
from tests.support.totp import code_at


def end_sessions(site: Flask, slug: str = SLUG, *options: str, answer: str = "") -> Any:
    arguments = ["providers", "end-sessions", slug, *options]
    return site.test_cli_runner(capture="fd").invoke(args=arguments, input=answer)


def test_they_end_with_the_sign_ins_that_wait_for_a_second_step(
    site: Flask, visit: Visit, server: ProviderServer
) -> None:
    set_out(visit, server).come_back()
    with site.app_context():
        alice_id = read_all(select(USERS.c.id))[0].id
    secret = give_totp(site, alice_id)
    bob = register_caller(site, "bob")
    waiting = Visit(site)
    step = waiting.follow(set_out(waiting, server).come_back())
    change_user(site, alice_id, mfa_enabled=False)
    assert end_sessions(site, answer="n\n").exit_code != 0
    assert visit.open("/account").status == 200
    done = end_sessions(site, SLUG, "--yes", "--json")
    assert json.loads(done.stdout) == {"slug": SLUG, "ended": 1}
    assert visit.open("/account").status == 303
    assert waiting.give(step, code=code_at(secret, now())).title.startswith("Error: Sign in")
    assert waiting.cookie() is None
    assert bob.get("/api/v1/users/me").status_code == 200
    event = audit_trail(site, "session.revoked")[-1]
    assert event["details"] == {"reason": "ended_by_admin", "count": 1, "provider": SLUG}


def test_a_provider_that_never_was_is_named(site: Flask) -> None:
    assert "0 sessions ended" in end_sessions(site, SLUG, "--yes").stdout
    wrong = end_sessions(site, "wrok", "--yes")
    assert wrong.exit_code == 1
    assert "There is no such provider" in wrong.stderr
