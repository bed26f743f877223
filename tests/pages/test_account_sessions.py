"""The list of sessions, and how they end from there."""

import re
from uuid import UUID

import pytest
from flask import Flask

from authserve.core.levels import Proof
from tests.support.browsing import Shown, Visit
from tests.support.clients import Caller
from tests.support.rows import audit_trail, change_session, count_sessions, live_session_row

SESSIONS = "/account/sessions"

IPHONE = "Mozilla/5.0 (iPhone) AppleWebKit/605.1 (KHTML) Version/26.0 Mobile/15E Safari/604.1"


def send(visit: Visit, path: str) -> Shown:
    """Press the button of a form of the list."""
    return visit.follow(visit.send(path, visit.open(SESSIONS).form(path)))


def end_of(app: Flask, session_id: UUID | str) -> str | None:
    reason: str | None = live_session_row(app, session_id)["revoke_reason"]
    return reason


@pytest.fixture
def phone(app: Flask, visit: Visit, alice: Caller) -> UUID:
    """Another browser of Alice, who has signed in with this one too, and with the API before."""
    other = Visit(app)
    other.sign_in()
    change_session(
        app, other.session_id, user_agent=IPHONE, ip="2001:db8::17", amr=["mfa", "otp", "pwd"]
    )
    visit.sign_in()
    return other.session_id


def test_it_shows_where_the_user_is_signed_in(visit: Visit, phone: UUID) -> None:
    shown = visit.open(SESSIONS)
    rows = [" ".join("".join(row.itertext()).split()) for row in shown.tree.iterfind(".//main//li")]
    assert len(rows) == 3
    assert rows[0].startswith("Firefox This browser 127.0.0.1 · last used 20")
    assert "Sign out" not in rows[0]
    (safari,) = [row for row in rows if row.startswith("Safari on iPhone 2001:db8::17")]
    assert "with: app code, password Sign out" in safari
    assert [row.split()[1] for row in rows].count("App") == 1


def test_every_proof_has_a_name(app: Flask, visit: Visit, alice: Caller) -> None:
    visit.sign_in()
    for proof in Proof:
        change_session(app, visit.session_id, amr=[proof.value])
        (row, *_others) = visit.open(SESSIONS).tree.iterfind(".//main//li")
        assert re.search(r"with: \w+", " ".join("".join(row.itertext()).split())), proof


def test_one_session_ends(app: Flask, visit: Visit, phone: UUID, alice: Caller) -> None:
    shown = send(visit, f"{SESSIONS}/{phone}/end")
    assert "The session is signed out." in shown.text
    assert "iPhone" not in shown.text
    assert end_of(app, phone) == "ended_by_user"
    assert (end_of(app, visit.session_id), end_of(app, alice.session_id)) == (None, None)
    assert audit_trail(app, "session.revoked")[-1]["details"]["session_id"] == str(phone)


def test_a_second_press_and_a_strangers_session_change_nothing(
    app: Flask, visit: Visit, phone: UUID, bob: Caller
) -> None:
    fields = visit.open(SESSIONS).form(f"{SESSIONS}/{phone}/end")
    for session_id in (phone, phone, bob.session_id):
        answer = visit.send(f"{SESSIONS}/{session_id}/end", fields)
        assert (answer.status, answer.location.partition("?")[0]) == (303, SESSIONS)
    assert end_of(app, bob.session_id) is None
    assert len(audit_trail(app, "session.revoked")) == 1


def test_all_others_end(app: Flask, visit: Visit, phone: UUID, bob: Caller) -> None:
    shown = send(visit, f"{SESSIONS}/end-others")
    assert "All other sessions are signed out." in shown.text
    # With no other session there is no button.
    assert f"{SESSIONS}/end-others" not in shown.html
    assert count_sessions(app, revoked_at=None) == 2
    assert end_of(app, bob.session_id) is None


def test_all_end_after_a_question(app: Flask, visit: Visit, phone: UUID) -> None:
    assert visit.open(f"{SESSIONS}/end-all").status == 200
    assert count_sessions(app, revoked_at=None) == 3
    shown = visit.fill(f"{SESSIONS}/end-all")
    assert shown.title.startswith("You are signed out")
    assert (count_sessions(app, revoked_at=None), visit.cookie()) == (0, None)
    assert end_of(app, phone) == "logout_all"
