"""The processes of compose.yaml, run from the image as it was built."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml
from sqlalchemy import make_url

import config
from tests.conftest import PostgreSQL
from tests.container.conftest import Image, StartContainer
from tests.support.clients import PASSWORD
from tests.support.raw_http import send
from tests.support.server import Client
from tests.support.smtp import MailServer
from tests.support.tcp_proxy import tcp_proxy
from tests.support.worker import wait_until

SERVICES = yaml.safe_load((config.ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]

IN_FLIGHT = 50


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    server = MailServer()
    yield server
    server.stop()


@pytest.fixture
def database_url(postgresql: PostgreSQL) -> Iterator[str]:
    """An empty database, which a container reaches by TCP."""
    url = make_url(postgresql.create("containers"))
    socket = Path(str(url.query["host"])) / f".s.PGSQL.{url.port or 5432}"
    with tcp_proxy(str(socket)) as proxy:
        yield f"postgres://postgres@127.0.0.1:{proxy.port}/containers"
    postgresql.drop("containers")


def is_serving(client: Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except requests.ConnectionError:
        return False


def register(client: Client) -> str:
    """Sign up, so that a mail is pending, and return its address."""
    body = {"email": "ada@example.com", "username": "ada", "password": PASSWORD}
    registered = client.post("/api/v1/auth/register", json=body)
    assert registered.status_code == 201, registered.text
    return body["email"]


def test_production_migrates_serves_sends_mail_and_stops(
    image: Image,
    start: StartContainer,
    data: Path,
    tmp_path: Path,
    database_url: str,
    mail_server: MailServer,
    client: Client,
    port: int,
) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "secret_key").write_text("kept for this one test, 0123456789\n")
    (secrets / "database_url").write_text(f"{database_url}\n")
    mounts = {"/run/secrets": secrets, "/data": data}
    given = {
        "PUBLIC_URL": "https://auth.example.com",
        "MAIL_URL": mail_server.url,
        "MAIL_FROM": "Example <no-reply@example.com>",
        "TRUSTED_PROXIES": "0",
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "WEB_CONCURRENCY": "2",
    }

    def start_service(name: str, **environ: str) -> Any:
        service = SERVICES[name]
        variables = {**service["environment"], **environ}
        return start(command=service.get("command", ()), environ=variables, mounts=mounts)

    refused = start_service("migrate")
    assert refused.wait() == 1
    faults = re.findall(r"^  (\w+): ", refused.output(), re.MULTILINE)
    assert faults == ["PUBLIC_URL", "MAIL_URL", "MAIL_FROM", "TRUSTED_PROXIES"]

    web = start_service("web", **given)
    wait_until(lambda: "Booting worker" in web.output())
    check = {"command": image.config["Healthcheck"]["Test"][1:], "environ": given, "mounts": mounts}
    wait_until(lambda: start(**check).wait() == 0)
    not_ready = Client(f"http://127.0.0.1:{port}", until_served=False).get("/readyz")
    assert not_ready.json()["checks"]["migrations"] == "pending"
    migrate = start_service("migrate", **given)
    assert migrate.wait() == 0, migrate.output()
    assert is_serving(client)

    worker = start_service("worker", **given)
    register(client)
    wait_until(lambda: bool(mail_server.arrivals))
    for container in (web, worker):
        assert container.process.uids() == (10001, 10001, 10001)
        assert container.process.gids() == (0, 0, 0)
        status = Path(f"/proc/{container.process.pid}/status").read_text()
        assert "CapEff:\t0000000000000000\n" in status

    in_flight = [send(f"http://127.0.0.1:{port}", "/") for _ in range(IN_FLIGHT)]
    assert (web.stop(), worker.stop()) == (0, 0)
    answers = [sent.answer() for sent in in_flight]
    assert [answer.status for answer in answers if answer] == [200] * IN_FLIGHT
    for sent in in_flight:
        sent.close()
    assert start(**check).wait() != 0
    assert list(data.iterdir()) == []


@pytest.mark.parametrize("user", ["10001:0", "54321:0"])
def test_the_trial_needs_no_setting(
    start: StartContainer, data: Path, mail_server: MailServer, client: Client, port: int, user: str
) -> None:
    """Also as a user that the platform chose."""
    dev = SERVICES["dev"]
    command = [part.replace("8000", str(port)) for part in dev["command"]]
    environ = {**dev["environment"], "MAIL_URL": mail_server.url}
    options = {"environ": environ, "mounts": {"/data": data}, "user": user}
    trial = start(command=command, **options)
    wait_until(lambda: is_serving(client))
    first = start(command=["flask", "users", "first-link"], **options)
    assert first.wait() == 0, first.output()
    assert f"{environ['PUBLIC_URL']}/first-administrator#" in first.output()
    register(client)
    wait_until(lambda: bool(mail_server.arrivals))
    trial.stop()
    assert {path.name.split("-")[0] for path in data.iterdir()} == {"authserve.db", "secret_key"}
    assert {path.stat().st_mode & 0o777 for path in data.iterdir()} == {0o600}


def test_the_image_has_the_code_and_an_inventory_alone(image: Image) -> None:
    app = image.root / "app"
    found = {path.name for path in app.iterdir()} - {"__pycache__"}
    copied = {".flaskenv", "LICENSE", "Procfile", "config.py", "gunicorn.conf.py", "wsgi.py"}
    assert found == copied | {"authserve", "migrations", "instance", "sbom.cdx.json"}
    inventory = json.loads((app / "sbom.cdx.json").read_text())
    assert {"flask", "gunicorn", "psycopg2-binary"} <= {x["name"] for x in inventory["components"]}
    assert not list(image.root.glob("**/pip.conf"))
    assert shutil.which("cyclonedx-py", path=str(image.root / "opt/authserve/bin")) is None
