"""The files that docs/containers.md describes agree with the service, and with the page."""

import json
import re
import shlex
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

import config
from authserve import __version__

PAGE = (config.ROOT / "docs" / "containers.md").read_text(encoding="utf-8")

GUNICORN = (config.ROOT / "gunicorn.conf.py").read_text(encoding="utf-8")

KNOWN = config.SETTINGS.keys() | {f"{name}_FILE" for name in config.SECRETS}

PROCFILE = dict(line.split(": ", 1) for line in (config.ROOT / "Procfile").read_text().splitlines())

MIGRATE, WEB, WORKER = (shlex.split(PROCFILE[name]) for name in ("release", "web", "worker"))

GRACEFUL_SECS = int(re.findall(r"^graceful_timeout = (\d+)$", GUNICORN, re.MULTILINE)[0])


def blocks(*, holding: str) -> str:
    """The one block of shell that holds some text."""
    found = re.findall(r"```bash\n(.+?)```", PAGE, re.DOTALL)
    (block,) = [block for block in found if holding in block]
    return str(block)


def dockerfile() -> list[tuple[str, str]]:
    """Each instruction of the Dockerfile with its arguments, continued lines joined."""
    text = (config.ROOT / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", "")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in lines)]


def last(instruction: str) -> str:
    return [rest for name, rest in dockerfile() if name == instruction][-1]


def copied() -> set[str]:
    """Return the paths that the Dockerfile copies from the project."""
    copies = [rest.split()[:-1] for name, rest in dockerfile() if name == "COPY"]
    return {source for sources in copies if "--from" not in sources[0] for source in sources}


def compose(service: str) -> Any:
    document = yaml.safe_load((config.ROOT / "compose.yaml").read_text(encoding="utf-8"))
    return document["services"][service]


def cluster(kind: str, name: str) -> Any:
    text = (config.ROOT / "docs" / "examples" / "kubernetes.yaml").read_text(encoding="utf-8")
    items = yaml.safe_load(text)["items"]
    (found,) = [x for x in items if (x["kind"], x["metadata"]["name"]) == (kind, name)]
    return found


def pod(kind: str, process: str) -> Any:
    return cluster(kind, f"authserve-{process}")["spec"]["template"]["spec"]


PODS = {"Job": ["migrate"], "Deployment": ["web", "worker"]}

each_pod = pytest.mark.parametrize(
    ("kind", "process"), [(kind, name) for kind, names in PODS.items() for name in names]
)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The folder of secrets that the page's commands make."""
    subprocess.run(
        ["bash", "-e"], input=blocks(holding="mkdir"), text=True, cwd=tmp_path, check=True
    )
    return tmp_path / "secrets"


def mounted(environ: Mapping[str, str], at: str, folder: Path) -> dict[str, str]:
    """Variables of a container, with the files of a mounted folder where they really are."""
    return {name: value.replace(f"{at}/", f"{folder}/") for name, value in environ.items()}


def test_the_image_serves_as_the_procfile_does() -> None:
    assert json.loads(last("CMD")) == WEB
    example = (config.ROOT / ".env.example").read_text(encoding="utf-8")
    assert f"\n#PORT={last('EXPOSE')}\n" in example


def test_the_image_has_all_that_runs_and_nothing_else() -> None:
    ignored = (config.ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {line[1:] for line in ignored if line.startswith("!")} == copied()
    assert ignored[1] == "*"
    for name in copied():
        assert (config.ROOT / name).exists(), name
    assert {"authserve", "migrations", "Procfile", "requirements.txt"} <= copied()
    assert {path.name for path in config.ROOT.glob("*.py")} <= copied()
    assert not {"tests", "docs", "instance", "secrets", ".env"} & copied()


def test_the_image_runs_without_root() -> None:
    user, group = last("USER").split(":")
    assert (int(user) > 0, group) == (True, "0")


def test_each_service_runs_what_the_procfile_runs() -> None:
    assert compose("migrate")["command"] == MIGRATE
    assert compose("worker")["command"] == WORKER
    assert "command" not in compose("web")
    for command in PROCFILE.values():
        assert f"`{command}`" in PAGE


@pytest.mark.parametrize("service", ["migrate", "web", "worker", "dev"])
def test_each_service_is_confined_and_has_time_to_stop(service: str) -> None:
    found = compose(service)
    assert found["environment"].keys() <= KNOWN
    assert (found["read_only"], found["cap_drop"], found["tmpfs"]) == (True, ["ALL"], ["/tmp"])
    assert int(found["stop_grace_period"].removesuffix("s")) > GRACEFUL_SECS + 5


@pytest.mark.parametrize("service", ["web", "dev", "mail"])
def test_ports_are_open_to_this_machine_alone(service: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in compose(service)["ports"])


def test_web_and_worker_wait_for_the_migration() -> None:
    for service in ("web", "worker"):
        condition = compose(service)["depends_on"]["migrate"]["condition"]
        assert condition == "service_completed_successfully"


def test_production_starts_with_the_pages_secrets_and_settings(secrets: Path) -> None:
    environ = mounted(compose("web")["environment"], "/run/secrets", secrets)
    with pytest.raises(config.SettingsError) as refused:
        config.load_settings(environ)
    needed = re.findall(r"^  (\w+): ", str(refused.value), re.MULTILINE)
    settings = dict(
        line.split("=", 1) for line in blocks(holding="TRUSTED_PROXIES=").split("\n")[:-1]
    )
    assert list(settings) == needed
    loaded = config.load_settings(environ | settings)
    assert loaded.is_production
    assert loaded.database_url.endswith("@database:5432/authserve")


def test_the_containers_user_can_read_the_secrets_and_other_users_cannot(secrets: Path) -> None:
    assert {path.name for path in secrets.iterdir()} == {
        name for service in ("database", "web") for name in compose(service)["secrets"]
    }
    assert secrets.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in secrets.iterdir())


@pytest.mark.parametrize(
    ("kind", "process", "command"),
    [("Job", "migrate", MIGRATE), ("Deployment", "web", WEB), ("Deployment", "worker", WORKER)],
)
def test_each_pod_runs_what_the_procfile_runs(kind: str, process: str, command: list[str]) -> None:
    (container,) = pod(kind, process)["containers"]
    assert container["command"] == command
    assert container["image"].endswith(f"/authserve:{__version__}")
    assert container["envFrom"] == [{"configMapRef": {"name": "authserve"}}]


@each_pod
def test_each_pod_is_confined(kind: str, process: str) -> None:
    """By the rules of the Pod Security Standard `restricted`, and with a read-only root."""
    spec = pod(kind, process)
    (container,) = spec["containers"]
    assert spec["securityContext"] == {
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {"secrets", "tmp"} == {volume["name"] for volume in spec["volumes"]}


@pytest.mark.parametrize("process", ["web", "worker"])
def test_each_pod_has_time_to_stop(process: str) -> None:
    drain = int(cluster("ConfigMap", "authserve")["data"]["DRAIN_SECONDS"])
    grace = pod("Deployment", process)["terminationGracePeriodSeconds"]
    assert grace > drain + GRACEFUL_SECS + 5


def test_probes_ask_what_the_service_answers(app: Flask) -> None:
    (container,) = pod("Deployment", "web")["containers"]
    asked = {
        name: container[f"{name}Probe"]["httpGet"] for name in ("readiness", "liveness", "startup")
    }
    assert {name: probe["path"] for name, probe in asked.items()} == {
        "readiness": "/readyz",
        "liveness": "/healthz",
        "startup": "/healthz",
    }
    client = app.test_client()
    assert {client.get(probe["path"]).status_code for probe in asked.values()} == {200}
    (port,) = container["ports"]
    (served,) = cluster("Service", "authserve")["spec"]["ports"]
    assert {probe["port"] for probe in asked.values()} == {port["name"], served["targetPort"]}
    assert str(port["containerPort"]) == last("EXPOSE")
    assert "/healthz" in last("HEALTHCHECK")


def test_the_service_and_the_deployments_name_the_same_pods() -> None:
    selector = cluster("Service", "authserve")["spec"]["selector"]
    web = cluster("Deployment", "authserve-web")["spec"]
    assert selector == web["selector"]["matchLabels"] == web["template"]["metadata"]["labels"]
    worker = cluster("Deployment", "authserve-worker")["spec"]
    assert worker["selector"]["matchLabels"] == worker["template"]["metadata"]["labels"] != selector


def test_production_starts_with_the_clusters_settings(secrets: Path) -> None:
    (secrets / "mail_url").write_text("smtps://user:password@mail.example.com")
    data = cluster("ConfigMap", "authserve")["data"]
    assert data.keys() <= KNOWN
    (mount,) = [
        m for m in pod("Job", "migrate")["containers"][0]["volumeMounts"] if m["name"] == "secrets"
    ]
    settings = config.load_settings(mounted(data, mount["mountPath"], secrets))
    assert settings.is_production
    files = re.findall(r"--from-file=secrets/(\w+)", blocks(holding="kubectl create secret"))
    assert {f"{mount['mountPath']}/{name}" for name in files} == {
        value for name, value in data.items() if name.endswith("_FILE")
    }


def test_its_commands_name_services_and_files_that_exist() -> None:
    for service in re.findall(r"docker compose exec (?:-T )?(\w+)", PAGE):
        assert compose(service), service
    for path in re.findall(r"--filename (\S+)", PAGE):
        assert (config.ROOT / path).is_file(), path
    assert "job/authserve-migrate" in PAGE
    assert cluster("Job", "authserve-migrate")
