"""The page about machines: its calls work as they stand there."""

import json
import re
import shlex
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

import config
from authserve.apikeys.schemas import NewKeySchema, VerifiedKeySchema
from tests.support.clients import Caller
from tests.support.rows import change_user

PAGE = (config.ROOT / "docs" / "machines.md").read_text(encoding="utf-8")

ORIGIN = "https://auth.example.com"


def blocks(language: str) -> list[str]:
    """Return the blocks of the page in a language."""
    return re.findall(rf"^```{language}\n(.+?)^```$", PAGE, re.DOTALL | re.MULTILINE)


def find_call(path: str) -> list[str]:
    """Return the words of the page's call of a path."""
    (text,) = [each for each in blocks("bash") if f"{ORIGIN}{path}" in each and "curl" in each]
    return shlex.split(text.replace("\\\n", " "))


def options(words: list[str], name: str) -> Iterator[str]:
    """Yield the values of an option."""
    return (value for option, value in pairwise(words) if option == name)


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with both features, at the page's address."""
    return make_app(features=("oidc", "api-keys"), public_url=ORIGIN)


def flask(app: Flask, command: str) -> Any:
    """Run the page's command, and return what it prints."""
    (text,) = [
        each for each in blocks("bash") if each.startswith(f"flask clients create {command}")
    ]
    result = app.test_cli_runner(capture="fd").invoke(args=shlex.split(text)[1:])
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def get_token(app: Flask, client: dict[str, Any], **fields: str) -> TestResponse:
    """Send the page's call of the token endpoint, with other fields."""
    given = dict(text.split("=", 1) for text in options(find_call("/oauth/token"), "-d"))
    auth = (client["client_id"], client["client_secret"])
    return app.test_client().post("/oauth/token", data={**given, **fields}, auth=auth)


def test_a_machine_verifies_a_key_with_a_token_of_its_own(app: Flask, alice: Caller) -> None:
    change_user(app, alice.id, email_verified=True)
    (body,) = options(find_call("/api/v1/users/me/api-keys"), "-d")
    made = alice.post("/api/v1/users/me/api-keys", json=json.loads(body)).get_json()
    assert get_token(app, flask(app, "report")).get_json()["scope"] == "users:read"

    api = f"{ORIGIN}/api/v1"
    answer = get_token(app, flask(app, "gateway"), scope="tokens:introspect", resource=api)
    (body,) = options(find_call("/api/v1/api-keys/verify"), "-d")
    asked = {**json.loads(body), "key": made["key"]}
    headers = {"Authorization": f"Bearer {answer.get_json()['access_token']}"}
    told = app.test_client().post("/api/v1/api-keys/verify", json=asked, headers=headers)
    assert told.get_json()["active"] is True
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert app.test_client().get("/api/v1/users/me", headers=headers).status_code == 200


def test_its_examples_have_every_field() -> None:
    made, told, _token = map(json.loads, (text.replace("…", "") for text in blocks("json")))
    assert made.keys() == NewKeySchema().fields.keys()
    assert told.keys() == VerifiedKeySchema().fields.keys()
