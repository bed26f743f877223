"""The release before and this one, side by side on one database, as in every deploy.

The release before is the newest tag that is not this commit's. While there is none, only the test's
own workings are proven: with this release once more, from a folder of its own.
"""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from email import message_from_bytes
from pathlib import Path
from random import Random

import pytest
from sqlalchemy import create_engine, update

import config
from authserve.users.models import User
from tests.conftest import make_settings
from tests.support.clients import PASSWORD
from tests.support.faults import rounds
from tests.support.mail import Letter
from tests.support.server import DEADLINE_SECS, Server
from tests.support.traffic import TRUSTING, TrafficCount, traffic_to
from tests.support.worker import WorkerProcess, wait_until

pytestmark = [pytest.mark.gunicorn, pytest.mark.fault]

ANSWERS = 20 * rounds(1, at_most=200)
"""In each phase of the deploy."""

NEW_PASSWORD = "another horse, another staple"

CODE = ("authserve", "migrations", "config.py", "wsgi.py", "gunicorn.conf.py", ".flaskenv")


def git(*arguments: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        ["git", *arguments],
        cwd=config.ROOT,
        capture_output=True,
        timeout=DEADLINE_SECS,
        check=False,
    )


def export_release_before(folder: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("there is no git to find the release before with")
    found = git("describe", "--tags", "--abbrev=0", "HEAD^")
    if found.returncode:
        pytest.skip(f"no release before this one is known here: {found.stderr.decode().strip()}")
    archive = git("archive", found.stdout.decode().strip())
    assert archive.returncode == 0, archive.stderr
    subprocess.run(["tar", "-x"], input=archive.stdout, cwd=folder, check=True)


def copy_this_release(folder: Path) -> None:
    for name in CODE:
        source = config.ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        else:
            shutil.copy(source, folder)


OTHERS = {"itself": copy_this_release, "before": export_release_before}

on_every_pair = pytest.mark.parametrize(
    ("database_kind", "other_release"),
    [("postgresql", "itself"), ("sqlite", "before"), ("postgresql", "before")],
    indirect=True,
)


@pytest.fixture
def other_release(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    folder.mkdir()
    OTHERS[request.param](folder)
    return folder


class Deploy:
    """Both releases, each with a server and, when asked, a worker.

    Args:
        url: of the database.
        other: where the code of the release before is.
    """

    def __init__(self, url: str, other: Path, folder: Path, stops: ExitStack) -> None:
        self._settings = make_settings(url, folder)
        self._folder = folder
        self._stops = stops
        self._roots = {"old": other, "new": config.ROOT}
        self.old, self.new = self._start("old"), self._start("new")

    def _start(self, name: str) -> Server:
        environ = {**TRUSTING, "WEB_CONCURRENCY": "1"}
        folder, root = self._folder / name, self._roots[name]
        server = Server(self._settings, folder, environ, root=root)
        self._stops.callback(server.stop)
        server.wait_until_healthy()
        return server

    def mailed_token(self, name: str) -> str:
        """The token of the link that a worker of one release mails to Alice."""
        mails = self._folder / f"{name}-mails"
        mails.mkdir()
        environ = {"MAIL_URL": f"file://{mails}"}
        worker = WorkerProcess(
            self._settings, self._folder / f"{name}-worker", environ, root=self._roots[name]
        )
        self._stops.callback(worker.kill)
        wait_until(lambda: self._find_reset(mails))
        worker.terminate()
        assert worker.wait() == 0
        return self._find_reset(mails)[0].token

    def _find_reset(self, mails: Path) -> list[Letter]:
        found = []
        for path in mails.glob("*.eml"):
            content = path.read_bytes()
            found.append(Letter(message_from_bytes(content)["To"], content))
        return [each for each in found if "alice@" in each.to and "reset" in each.text]


@pytest.fixture
def deploy(empty_database_url: str, other_release: Path, tmp_path: Path) -> Iterator[Deploy]:
    with ExitStack() as stops:
        deploy = Deploy(empty_database_url, other_release, tmp_path, stops)
        yield deploy
    for server in (deploy.old, deploy.new):
        assert server.process.returncode == 0, server.output()


def migrate(server: Server) -> None:
    done = server.run("db", "upgrade")
    assert done.returncode == 0, done.stderr


def serve_some(traffic: TrafficCount) -> None:
    enough = traffic.answers + ANSWERS
    wait_until(lambda: traffic.answers >= enough or traffic.failures)


def follow_links(deploy: Deploy) -> None:
    """Use a link that the old one mailed at the new one, and the other way round."""
    old, new = deploy.old.client(), deploy.new.client()
    body = {"email": "alice@example.com", "username": "alice", "password": PASSWORD}
    assert old.post("/api/v1/auth/register", json=body).status_code == 201
    for name, asked, used in (("old", old, new), ("new", new, old)):
        body = {"email": "alice@example.com"}
        assert asked.post("/api/v1/auth/password/forgot", json=body).status_code == 202
        password = f"{NEW_PASSWORD} {name}"
        body = {"token": deploy.mailed_token(name), "new_password": password}
        reset = used.post("/api/v1/auth/password/reset", json=body)
        assert reset.status_code == 200, reset.text
        body = {"identifier": "alice", "password": password}
        assert asked.post("/api/v1/auth/login", json=body).status_code == 200


@on_every_pair
def test_both_serve_the_same_people_and_the_old_one_alone_after_a_rollback(deploy: Deploy) -> None:
    """Each request goes to either: what one made, the other has to understand, links included."""
    old, new = deploy.old, deploy.new
    migrate(old)
    urls, choices = [old.url], Random(0)
    with traffic_to(lambda: choices.choice(urls)) as traffic:
        serve_some(traffic)
        migrate(new)
        urls.append(new.url)
        serve_some(traffic)
        follow_links(deploy)
        urls.remove(old.url)
        serve_some(traffic)
        # Taken back: the old code finds a newer schema, and has nothing to migrate.
        urls[:] = [old.url]
        migrate(old)
        assert old.client().get("/readyz").status_code == 200
        serve_some(traffic)
    assert traffic.failures == []
    assert '"level": "ERROR"' not in old.output() + new.output()


@pytest.mark.parametrize(("database_kind", "other_release"), [("sqlite", "before")], indirect=True)
def test_a_session_that_the_old_one_starts_is_below_the_need_of_an_account_with_mfa(
    deploy: Deploy, empty_database_url: str
) -> None:
    """The old one asks for a password alone, so what it starts must be worth nothing here."""
    migrate(deploy.old)
    migrate(deploy.new)
    old, new = deploy.old.client(), deploy.new.client()
    body = {"email": "alice@example.com", "username": "alice", "password": PASSWORD}
    assert old.post("/api/v1/auth/register", json=body).status_code == 201
    with create_engine(empty_database_url).begin() as connection:
        connection.execute(update(User).values(mfa_enabled=True))
    body = {"identifier": "alice", "password": PASSWORD}
    signed_in = old.post("/api/v1/auth/login", json=body)
    if signed_in.status_code == 403:
        pytest.skip("the release before asks for the second factor itself")
    tokens = signed_in.json()
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    refresh = {"refresh_token": tokens["refresh_token"]}
    answers = (
        new.get("/api/v1/users/me/sessions", headers=bearer),
        new.post("/api/v1/auth/refresh", json=refresh),
    )
    assert [each.json()["code"] for each in answers] == ["step_up_required"] * 2
    assert new.get("/api/v1/users/me", headers=bearer).status_code == 200
    assert new.post("/api/v1/auth/login", json=body).status_code == 403
