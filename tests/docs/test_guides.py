"""The guides for apps: their code runs, and their commands and settings exist."""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

import config
from authserve.clients.presets import PRESETS
from authserve.core.actor import OPERATOR, RequestInfo
from authserve.core.clock import now
from authserve.federation.policy import Refusal
from authserve.federation.presets import Preset
from authserve.federation.registry import delete_provider, list_providers
from tests.support.clients import PASSWORD
from tests.support.ports import reserved_port
from tests.support.processes import write_commands
from tests.support.server import DEADLINE_SECS, Server
from tests.support.tokens import claims_of
from tests.support.totp import code_at

NODE = shutil.which("node")

needs_node = pytest.mark.skipif(NODE is None, reason="node is not installed here")


def blocks(page: str, language: str) -> list[str]:
    text = (config.ROOT / "docs" / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.+?)^```$", text, re.DOTALL | re.MULTILINE)


def run_node(folder: Path, script: str, **environ: str) -> list[str]:
    """Run a module of Node and return what it prints."""
    assert NODE is not None
    (folder / "main.mjs").write_text(script, encoding="utf-8")
    done = subprocess.run(
        [NODE, "main.mjs"],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE_SECS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def register(server: Server) -> dict[str, str]:
    body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
    user: dict[str, str] = server.client().post("/api/v1/auth/register", json=body).json()
    return user


@needs_node
@pytest.mark.gunicorn
def test_the_module_for_node_takes_access_tokens_alone(server: Server, tmp_path: Path) -> None:
    user = register(server)
    login = {"identifier": "ada", "password": PASSWORD}
    tokens = server.client().post("/api/v1/auth/login", json=login).json()
    module, express = blocks("node.md", "js")
    (tmp_path / "access-tokens.mjs").write_text(module, encoding="utf-8")
    (tmp_path / "express.mjs").write_text(express, encoding="utf-8")
    header, payload, signature = tokens["access_token"].split(".")
    others = [tokens["refresh_token"], "", "a.b.c", f"{header}.e30.{signature}"]
    others += [f"{header}.{payload}.{signature[::-1]}", f"{header}.{payload}."]
    script = f"""
        import {{ verify, InvalidAccessToken }} from "./access-tokens.mjs";
        import {{ requireUser }} from "./express.mjs";
        const good = {json.dumps(tokens["access_token"])};
        console.log((await verify(good)).sub);
        for (const other of {json.dumps(others)}) {{
          try {{ await verify(other); console.log("taken"); }}
          catch (error) {{ console.log(error instanceof InvalidAccessToken); }}
        }}
        const request = {{ headers: {{ authorization: `bearer ${{good}}` }} }};
        await requireUser(request, null, () => console.log(request.user.sid));
        const status = (code) => ({{ set: () => ({{ end: () => console.log(code) }}) }});
        await requireUser({{ headers: {{}} }}, {{ status }}, () => console.log("let in"));
    """
    environ = {
        "AUTH_ISSUER": claims_of(tokens["access_token"])["iss"],
        "AUTH_JWKS_URL": f"{server.url}/.well-known/jwks.json",
    }
    found = run_node(tmp_path, script, **environ)
    assert found == [user["id"], *["true"] * len(others), tokens["session_id"], "401"]


@needs_node
@pytest.mark.gunicorn
def test_the_module_for_pages_signs_in_refreshes_once_and_signs_out(
    server: Server, tmp_path: Path
) -> None:
    user = register(server)
    module, _ = blocks("spa.md", "js")
    (tmp_path / "auth.mjs").write_text(module, encoding="utf-8")
    script = f"""
        import {{ Auth, AuthError }} from "./auth.mjs";
        const kept = new Map();
        const storage = {{
          getItem: (name) => kept.get(name) ?? null,
          setItem: (name, value) => kept.set(name, value),
          removeItem: (name) => kept.delete(name),
        }};
        const auth = new Auth({json.dumps(server.url)}, storage);
        await auth.signIn("ada", {json.dumps(PASSWORD)});
        console.log((await (await auth.fetch("/users/me")).json()).id);
        const before = kept.get("refresh_token");
        auth.accessToken = "a.b.c";
        const answers = await Promise.all([1, 2, 3].map(() => auth.fetch("/users/me")));
        console.log(answers.every((answer) => answer.ok), kept.get("refresh_token") !== before);
        await auth.signOut();
        console.log(kept.has("refresh_token"), kept.has("device_token"));
        try {{ await auth.fetch("/users/me"); }}
        catch (error) {{ console.log(error instanceof AuthError, error.code); }}
    """
    assert run_node(tmp_path, script) == [user["id"], "true true", "false true", "true signed_out"]


@needs_node
@pytest.mark.gunicorn
def test_the_module_for_pages_takes_the_second_step(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server(EMAIL_VERIFICATION="off")
    register(server)
    client = server.client()
    login = {"identifier": "ada", "password": PASSWORD}
    access = client.post("/api/v1/auth/login", json=login).json()["access_token"]
    owner = {"Authorization": f"Bearer {access}"}
    begun = client.post("/api/v1/users/me/mfa/totp", json={}, headers=owner).json()
    code = {"code": code_at(begun["secret"], now())}
    confirmed = client.post("/api/v1/users/me/mfa/totp/confirm", json=code, headers=owner).json()
    module, use = blocks("spa.md", "js")
    (tmp_path / "auth.mjs").write_text(module, encoding="utf-8")
    use = use.replace("https://auth.example.com", server.url).replace(
        'totp_code: prompt("The code of your app")',
        f"recovery_code: {json.dumps(confirmed['recovery_codes'][0])}",
    )
    script = f"""
        import {{ Auth }} from "./auth.mjs";
        const kept = new Map();
        globalThis.localStorage = {{
          getItem: (name) => kept.get(name) ?? null,
          setItem: (name, value) => kept.set(name, value),
        }};
        {use.replace("correct horse battery staple", PASSWORD)}
        console.log(me.username, me.mfa_enabled, kept.has("device_token"));
    """
    assert run_node(tmp_path, script) == ["ada true true"]


@pytest.mark.gunicorn
def test_the_commands_for_tests_start_a_service(tmp_path: Path) -> None:
    (script,) = blocks("testing.md", "bash")
    script = script.replace("/tmp/authserve-test", str(tmp_path / "s"))
    # On a busy machine the database may be locked for longer than a command waits.
    script += "status=$?\nfor try in 1 2 3 4 5; do flask users list --json && break; done\n"
    script += "kill %1 %2\nwait\nexit $status\n"
    write_commands(tmp_path / "bin")
    with reserved_port() as port, (tmp_path / "output").open("a") as output:
        done = subprocess.run(
            ["bash", "-m"],
            input=script.replace("8099", str(port)),
            cwd=config.ROOT,
            env={"PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
            stdout=output,
            stderr=output,
            text=True,
            timeout=DEADLINE_SECS,
            check=False,
        )
    told = (tmp_path / "output").read_text()
    assert done.returncode == 0, told
    assert f"authserve answers at http://localhost:{port}, its API is described at" in told
    assert f"mails are written to {tmp_path}/s/mails." in told
    assert '"username": "' in told, told


@pytest.mark.parametrize(
    "page",
    [
        "spa.md",
        "testing.md",
        "containers.md",
        "node.md",
        "upgrading.md",
        "sign-in-for-apps.md",
        "sign-in-by-others.md",
    ],
)
def test_settings_that_a_guide_names_exist(page: str) -> None:
    text = (config.ROOT / "docs" / page).read_text(encoding="utf-8")
    names = set(re.findall(r"\b([A-Z]+(?:_[A-Z]+)*)=", text)) - {"NAME", "BASE"}
    assert names <= config.SETTINGS.keys() | {f"{name}_FILE" for name in config.SECRETS}


def test_the_guide_for_apps_has_each_preset() -> None:
    text = (config.ROOT / "docs" / "sign-in-for-apps.md").read_text(encoding="utf-8")
    assert re.findall(r"^### (.+)$", text, re.MULTILINE) == list(PRESETS)


def test_the_commands_of_the_guide_for_apps_register_an_app(make_app: Callable[..., Flask]) -> None:
    runner = make_app(features=("pages", "oidc")).test_cli_runner(capture="fd")
    text = (config.ROOT / "docs" / "sign-in-for-apps.md").read_text(encoding="utf-8")
    lines = re.findall(r"^ +flask (clients (?:create|update) .+)$", text, re.MULTILINE)
    commands = [shlex.split(line) for line in lines]
    assert len(commands) == 2
    for command in commands:
        done = runner.invoke(args=command)
        assert done.exit_code == 0, done.output


def read_guide_to_providers() -> str:
    return (config.ROOT / "docs" / "sign-in-by-others.md").read_text(encoding="utf-8")


def test_the_guide_to_providers_has_each_preset() -> None:
    rows = re.findall(r"^\| `([a-z]+)` \|", read_guide_to_providers(), re.MULTILINE)
    assert set(rows[: len(Preset)]) == {preset.value for preset in Preset}


def test_the_guide_to_providers_explains_each_refusal() -> None:
    named = set(re.findall(r"`([a-z_]+)`", read_guide_to_providers()))
    assert {refusal.value for refusal in Refusal} <= named


def test_the_commands_of_the_guide_to_providers_run(
    make_app: Callable[..., Flask], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = make_app(features=("pages", "oidc", "federation"))
    runner = app.test_cli_runner(capture="fd")
    lines = re.findall(
        r"^ *flask ((?:providers|clients) (?!check).+)$",
        read_guide_to_providers(),
        re.MULTILINE,
    )
    commands = [shlex.split(line) for line in lines]
    assert len(commands) > len(Preset)
    monkeypatch.chdir(tmp_path)
    for command in commands:
        for name in command:
            if name.endswith(".txt"):
                Path(name).write_text("a secret", encoding="utf-8")
        if command[1] == "import":
            _delete_providers(app)
        done = runner.invoke(args=command)
        assert done.exit_code == 0, (command, done.output)


def _delete_providers(app: Flask) -> None:
    """Leave no provider, as on the server to which an export is brought."""
    with app.app_context():
        for provider in list_providers():
            delete_provider(provider.slug, actor=OPERATOR, request=RequestInfo())
