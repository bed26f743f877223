"""The page about second factors: its session runs, and its calls and settings exist."""

import re
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path

import pytest
from flask import Flask

import config
from tests.support.pasting import answers_of, paste
from tests.support.server import Server
from tests.support.tokens import claims_of
from tests.support.totp import STEP

PAGE = (config.ROOT / "docs" / "factors.md").read_text(encoding="utf-8")


@pytest.mark.gunicorn
def test_its_session_works_when_pasted(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server(EMAIL_VERIFICATION="off")
    (script,) = re.findall(r"```bash\n(BASE=.+?)```", PAGE, re.DOTALL)
    for name in (f"grace{number}" for number in count()):
        began_in = time.time() // STEP.seconds
        done = paste(script.replace("grace", name), server.url, tmp_path)
        is_in = '"access_token"' in done.stdout.splitlines()[-1]
        # A code of the step before is too old where a new step begins meanwhile.
        if is_in or time.time() // STEP.seconds == began_in:
            break
    registered, confirmed, tokens = answers_of(done)
    assert registered["username"] == name
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
