"""`flask clients check`."""

import json
from typing import Any

import pytest
from flask.testing import FlaskCliRunner

from authserve.clients.kinds import ClientKind
from authserve.clients.refused_redirects import note_refused_redirect
from authserve.core.clock import now
from authserve.oidc.check import Obstacle
from authserve.oidc.cli import OBSTACLES
from tests.oidc.conftest import WIKI, App, MakeApp
from tests.support.clients import Caller
from tests.support.factors import give_totp
from tests.support.rows import change_role, change_user


def check(runner: FlaskCliRunner, *options: str) -> str:
    result = runner.invoke(args=["clients", "check", "alice", "wiki", *options])
    assert result.exit_code == 0, result.output
    return result.stdout


def found(runner: FlaskCliRunner) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(check(runner, "--json"))
    return document


def test_a_user_who_can_sign_in(runner: FlaskCliRunner, make_client: MakeApp) -> None:
    make_client(scopes=(*WIKI.scopes, "audit:read"))
    assert found(runner)["can_sign_in"]
    lines = check(runner).splitlines()
    left_out = "is left out: no role of the user holds that permission."
    assert lines == [
        "alice can sign in to Wiki, with openid profile email groups offline_access.",
        f"The scope audit:read {left_out}",
        f"The scope users:read {left_out}",
    ]


def test_an_administrator_lacks_no_scope(runner: FlaskCliRunner, wiki: App, admin: Caller) -> None:
    result = runner.invoke(args=["clients", "check", "admin", "wiki", "--json"])
    assert json.loads(result.stdout)["missing_scopes"] == []


@pytest.mark.parametrize(
    ("changes", "obstacle", "words"),
    [
        ({"enabled": False}, Obstacle.CLIENT_DISABLED, "flask clients enable wiki"),
        ({"allowed_roles": ("staff", "boss")}, Obstacle.ROLE_MISSING, "the roles staff, boss"),
        ({"min_acr": "phr"}, Obstacle.LEVEL_MISSING, "the app needs phr"),
        ({"scopes": ("users:read",)}, Obstacle.SCOPE_MISSING, "no role of the user holds"),
        (
            {"kind": ClientKind.MACHINE, "redirect_uris": (), "scopes": ("users:read",)},
            Obstacle.CLIENT_IS_MACHINE,
            "is a machine",
        ),
    ],
)
def test_an_obstacle_has_words(
    runner: FlaskCliRunner,
    make_client: MakeApp,
    changes: dict[str, Any],
    obstacle: Obstacle,
    words: str,
) -> None:
    make_client(**changes)
    assert found(runner)["obstacle"] == obstacle
    first = check(runner).splitlines()[0]
    assert first.startswith("alice cannot sign in to Wiki: ")
    assert words in first


def test_a_user_who_is_asked_first(runner: FlaskCliRunner, make_client: MakeApp) -> None:
    make_client(first_party=False)
    document = found(runner)
    assert (document["can_sign_in"], document["needs_consent"]) == (True, True)
    assert check(runner).splitlines()[1] == "The user is asked to allow the app first."


def test_a_deactivated_user(runner: FlaskCliRunner, wiki: App, alice: Caller) -> None:
    change_user(wiki.app, alice.id, is_active=False)
    assert found(runner)["obstacle"] == Obstacle.USER_DEACTIVATED
    assert "flask users activate alice" in check(runner)


def test_a_role_that_sleeps(runner: FlaskCliRunner, make_client: MakeApp, alice: Caller) -> None:
    wiki = make_client(allowed_roles=("user",))
    assert found(runner)["can_sign_in"]
    change_role(wiki.app, "user", requires_mfa=True)
    assert found(runner)["obstacle"] == Obstacle.ROLE_MISSING
    give_totp(wiki.app, alice.id)
    change_user(wiki.app, alice.id, mfa_enabled=False)
    assert found(runner)["obstacle"] == Obstacle.ROLE_SLEEPING
    change_user(wiki.app, alice.id, mfa_enabled=True)
    assert found(runner)["can_sign_in"]


@pytest.mark.parametrize(
    ("uri", "is_addable"),
    [("https://wiki.example.com/other\x1b[0m", True), ("https://evil.example/callback", False)],
)
def test_refused_addresses_are_shown_as_text(
    runner: FlaskCliRunner, wiki: App, uri: str, is_addable: bool
) -> None:
    with wiki.app.app_context():
        note_refused_redirect("wiki", uri, now=now())
    shown = check(runner)
    assert uri.replace("\x1b", "\\x1b") in shown
    assert ("flask clients update wiki" in shown) == is_addable


def test_every_obstacle_has_a_sentence() -> None:
    assert set(OBSTACLES) == set(Obstacle)
