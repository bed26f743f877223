"""A failed sign-in is logged and audited with its reason."""

from flask import Flask

from tests.conftest import Log
from tests.support.clients import Caller, login
from tests.support.rows import audit_trail


def test_the_reason_is_in_the_log_and_in_the_trail(app: Flask, alice: Caller, log: Log) -> None:
    login(app.test_client(), "alice", "wrong password 7")
    (line,) = [line for line in log() if line["event"] == "sign-in failed"]
    assert (line["level"], line["reason"]) == ("INFO", "wrong_password")
    (event,) = audit_trail(app, "session.sign_in_failed")
    assert event["details"] == {"reason": "wrong_password"}
    assert event["correlation_id"] == line["correlation_id"]
