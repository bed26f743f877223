"""Optional parts of the service."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from authserve import features
from authserve.settings import model, parsers
from tests.conftest import make_settings

LOADED = """\
import sys
from pathlib import Path
from authserve.app import create_app
from authserve.settings.model import Settings
url, folder, *features = sys.argv[1:]
settings = Settings(
    app_env="test",
    secret_key="a secret for tests alone, 0123456789",
    database_url=url,
    instance_path=Path(folder),
    features=tuple(features),
)
create_app(settings, with_commands=False)
print(" ".join(name for name in sys.modules if name.startswith("authserve.")))
"""


def test_every_feature_has_a_part_of_its_own() -> None:
    for parts in (features.PARTS, features.COMMAND_PARTS):
        assert [{name} for name in model.FEATURE_NAMES if {name} not in parts.values()] == []


def test_every_module_of_a_part_is_in_the_table() -> None:
    modules = {path.stem for path in Path(features.__path__[0]).glob("*.py")}
    assert modules - {"__init__", "part"} == {*features.PARTS, *features.COMMAND_PARTS}


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({}, ["resets"]),
        ({"email_sign_in": True}, ["resets", "email_codes"]),
        ({"features": ("api-keys",)}, ["resets", "api_keys"]),
        ({"features": ("api-keys", "pages")}, ["resets", "pages", "api_keys", "api_key_pages"]),
        ({"metrics_token": "t"}, ["resets", "metrics"]),
        (
            {"features": ("pages", "oidc"), "metrics_token": "t"},
            ["resets", "pages", "oidc", "metrics", "metrics_of_oidc"],
        ),
    ],
)
def test_a_part_is_on_with_all_that_it_needs(
    changed: dict[str, Any], names: list[str], tmp_path: Path
) -> None:
    settings = make_settings("sqlite://", tmp_path, **{"email_sign_in": False, **changed})
    assert features.find_parts(features.PARTS, settings) == names


def test_it_reads_a_list_of_known_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parsers, "FEATURE_NAMES", ("pages", "oidc"))
    assert parsers.parse_features("oidc, pages") == ("oidc", "pages")


@pytest.mark.parametrize("raw", ["pages", "none, oidc", "oidc,saml", " "])
def test_it_refuses_other_names(monkeypatch: pytest.MonkeyPatch, raw: str) -> None:
    monkeypatch.setattr(parsers, "FEATURE_NAMES", ("oidc",))
    with pytest.raises(parsers.ValidationError, match="features \\(oidc\\)"):
        parsers.parse_features(raw)


def find_modules(database_url: str, folder: Path, *names: str) -> set[str]:
    """Return the modules that a new process loads for a web worker with these features."""
    command = [sys.executable, "-W", "ignore", "-c", LOADED, database_url, str(folder), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def packages_of(modules: set[str]) -> set[str]:
    return {name.split(".")[1] for name in modules}


def test_what_is_off_is_not_loaded(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/test.db"
    without = packages_of(find_modules(url, tmp_path))
    with_pages = packages_of(find_modules(url, tmp_path, "pages"))
    assert with_pages - without == {"pages", "web"}
    assert {"clients", "oidc", "apikeys", "forwardauth", "federation"}.isdisjoint(with_pages)


def test_a_web_worker_loads_no_command(tmp_path: Path) -> None:
    loaded = find_modules(f"sqlite:///{tmp_path}/test.db", tmp_path, *model.FEATURE_NAMES)
    assert "authserve.federation.registry" in loaded
    unneeded = re.compile(
        r"\.cli(_|$)|_commands$|_checks$|\.(transfer|commands|worker|backchannel)$"
    )
    assert [name for name in loaded if unneeded.search(name)] == []


def test_without_pages_those_behind_links_alone_are_there(make_app: Callable[..., Flask]) -> None:
    client = make_app().test_client()
    headers = {"Accept": "text/html"}
    for path in ("/sign-in", "/sign-up", "/sign-out", "/account", "/oauth/continue"):
        answer = client.get(path, headers=headers)
        assert (answer.status_code, answer.mimetype) == (404, "application/problem+json")
    assert client.get("/verify-email").status_code == 200
    assert client.post("/verify-email").status_code == 405
    assert client.get("/", headers=headers).headers["Location"] == "docs"
