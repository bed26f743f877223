"""The README's commands and code, run unchanged."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest

import config
from tests.support.clients import PASSWORD
from tests.support.pasting import answers_of, paste
from tests.support.server import Server

README = (config.ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, *, holding: str) -> str:
    """The one block of code that holds some text."""
    blocks = re.findall(rf"```{language}\n(.+?)```", README, re.DOTALL)
    (found,) = [block for block in blocks if holding in block]
    return str(found)


@pytest.mark.gunicorn
def test_its_first_session_works_when_pasted(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server(RATELIMIT_ENABLED="true")
    done = paste(block("bash", holding="/auth/register"), server.url, tmp_path)
    registered, me, patched, sessions, logged_out, refused = answers_of(done)
    assert registered["username"] == me["username"] == "ada"
    assert patched == me | {"display_name": "Ada Lovelace", "updated_at": patched["updated_at"]}
    assert [session["current"] for session in sessions["items"]] == [True]
    assert logged_out == 204
    assert refused["code"] == "session_revoked"


@pytest.fixture
def verify(server: Server) -> Callable[[str], dict[str, Any]]:
    """The README's function, asking the test's server for its keys."""
    code = block("python", holding="def verify").replace("{ISSUER}/", f"{server.url}/")
    names: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), names)
    found: Callable[[str], dict[str, Any]] = names["verify"]
    return found


@pytest.mark.gunicorn
def test_its_function_accepts_good_tokens_and_no_others(
    server: Server, verify: Callable[[str], dict[str, Any]]
) -> None:
    client = server.client()
    body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
    user = client.post("/api/v1/auth/register", json=body).json()
    login = {"identifier": "ada", "password": PASSWORD}
    tokens = client.post("/api/v1/auth/login", json=login).json()

    claims = verify(tokens["access_token"])
    assert (claims["sub"], claims["sid"]) == (user["id"], tokens["session_id"])
    header, _, rest = tokens["access_token"].partition(".")
    for other in (tokens["refresh_token"], f"{header}.{rest[::-1]}", f"{header}.e30.AAAA"):
        with pytest.raises(jwt.PyJWTError):
            verify(other)


def pages() -> list[str]:
    found = [
        *config.ROOT.glob("*.md"),
        *config.ROOT.glob("docs/**/*.md"),
        *config.ROOT.glob("bench/*.md"),
    ]
    return [str(path.relative_to(config.ROOT)) for path in found]


@pytest.mark.parametrize("page", pages())
def test_a_page_links_to_what_is_there(page: str) -> None:
    path = config.ROOT / page
    targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", path.read_text(encoding="utf-8"))
    assert [target for target in targets if not (path.parent / target).exists()] == []
