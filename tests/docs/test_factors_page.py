"""The page about second factors: its session runs, and its calls and settings exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable

import pytest
from flask import Flask

import config
from tests.support.server import DEADLINE_SECS, Server
from tests.support.tokens import claims_of

PAGE = (config.ROOT / "docs" / "factors.md").read_text(encoding="utf-8")

DEFAULT_URL = "http://localhost:8000"
"""The address of `make run`; a test's server has another."""


@pytest.mark.gunicorn
def test_its_session_works_when_pasted(make_server: Callable[..., Server]) -> None:
    if shutil.which("curl") is None:
        pytest.skip("the page's session is written for curl, which is not installed here")
    server = make_server(EMAIL_VERIFICATION="off")
    (script,) = re.findall(r"```bash\n(BASE=.+?)```", PAGE, re.DOTALL)
    done = subprocess.run(
        ["bash"],
        input=script.replace(DEFAULT_URL, server.url),
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    registered, confirmed, tokens = map(json.loads, filter(None, done.stdout.splitlines()))
    assert registered["username"] == "grace"
    assert len(confirmed["recovery_codes"]) == 10
    assert claims_of(tokens["access_token"])["acr"] == "aal2"


def shape_of(path: str) -> str:
    """Return a path with its parameters as `{}`."""
    return re.sub(r"<[^>]+>|\{\w+\}", "{}", path)


def test_its_calls_exist(make_app: Callable[..., Flask]) -> None:
    app = make_app(passkey_rp_id="localhost", email_sign_in=True)
    known = {shape_of(rule.rule) for rule in app.url_map.iter_rules()}
    told = set(re.findall(r"[ \"`](?:/api/v1)?(/(?:auth|users)/[\w/{}-]+)", PAGE))
    assert len(told) > 10
    assert {path for path in told if f"/api/v1{shape_of(path)}" not in known} == set()
