"""A real gunicorn with several workers, for tests that need real processes."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import requests

import config
from authserve.settings.model import Settings
from tests.support import processes
from tests.support.crowd import persistently
from tests.support.ports import reserve_port
from tests.support.processes import Process
from tests.support.secrecy import SECRETS

DEADLINE_SECS = 300
"""Seconds after which a test gives up; every event comes much sooner, or never."""

WORKERS = 3


class Client(requests.Session):
    """A session of `requests` that takes paths, and connects to nothing but its server.

    Each request has a connection of its own, so that it meets any of the workers, and so that
    none is left for a stopping server to wait for. A test of kept connections calls
    `client.headers.pop("Connection")`.

    Args:
        url: where the server is.
        until_served: False for a test of refusals: else the client repeats what gets 503, as
            `persistently` does.
    """

    def __init__(self, url: str, *, until_served: bool = True) -> None:
        super().__init__()
        self.trust_env = False
        self.headers["Connection"] = "close"
        self._url = url
        self._until_served = until_served

    def request(self, method: str, url: str, **kwargs: Any) -> requests.Response:
        """Send a request; `url` is a path."""
        kwargs.setdefault("timeout", DEADLINE_SECS)
        kwargs.setdefault("allow_redirects", False)
        SECRETS.note_body(kwargs.get("json"))
        SECRETS.note_headers(kwargs.get("headers"))
        send = partial(super().request, method, self._url + url, **kwargs)
        response = persistently(send) if self._until_served else send()
        is_json = response.headers.get("Content-Type") == "application/json"
        if response.ok and is_json and response.content:
            SECRETS.note_body(response.json())
        return response


class Server:
    """`gunicorn -c gunicorn.conf.py wsgi:app` on a loopback port of its own.

    It runs in a copy of the project's top, so that no developer's `.env` reaches it.

    Args:
        settings: database and secret, so that an application of the test shares both.
        folder: where the copy and the output go.
        environ: more variables, in the environment's own names.
        files: text by file name, to add to the copy or to replace in it.
        root: where the code is; another release may be beside ours.
    """

    def __init__(
        self,
        settings: Settings,
        folder: Path,
        environ: Mapping[str, str],
        files: Mapping[str, str] | None = None,
        *,
        root: Path = config.ROOT,
    ) -> None:
        self._folder = folder
        self._root = root
        self._clients: list[Client] = []
        self._reservation = reserve_port()
        port = self._reservation.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.environ = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(root),
            "APP_ENV": "test",
            "FEATURES": "none",
            "DATABASE_URL": settings.database_url,
            "SECRET_KEY": settings.secret_key,
            "HOST": "127.0.0.1",
            "PORT": str(port),
            # The issuer of tokens; by default it would have this port.
            "PUBLIC_URL": settings.public_url,
            "WEB_CONCURRENCY": str(WORKERS),
            # Enough places for all callers of a test to wait for a hash on one worker, and no
            # lower priority than other load on the machine.
            "WEB_THREADS": "64",
            "HASH_NICENESS": "0",
            # As in `make_settings`.
            "RATELIMIT_ENABLED": "false",
            **environ,
        }
        folder.mkdir()
        for name in ("config.py", "wsgi.py", "gunicorn.conf.py", ".flaskenv"):
            shutil.copy(root / name, folder)
        for name, content in (files or {}).items():
            (folder / name).write_text(content)
        self.process = self._start()

    def _start(self) -> Process:
        return self._spawn("gunicorn", "-c", "gunicorn.conf.py", "wsgi:app")

    def _spawn(self, *command: str, out: str = "stdout", err: str = "stderr") -> Process:
        return processes.start(
            *command,
            folder=self._folder,
            environ=self.environ,
            out=self._folder / out,
            err=self._folder / err,
            root=self._root,
        )

    def write_file(self, name: str, content: str) -> None:
        """Write a file of the folder in which it runs."""
        (self._folder / name).write_text(content)

    def wait_until_healthy(self) -> None:
        """Wait until it answers and all of its workers have started."""
        client, give_up = self.client(), time.monotonic() + DEADLINE_SECS
        while not self._is_healthy(client):
            assert self.process.poll() is None, f"gunicorn ended:\n{self.output()}"
            assert time.monotonic() < give_up, f"gunicorn does not answer:\n{self.output()}"
            time.sleep(0.05)

    def _is_healthy(self, client: Client) -> bool:
        try:
            status = client.get("/healthz").status_code
        except requests.ConnectionError:
            return False
        return status == 200 and len(self.workers()) == int(self.environ["WEB_CONCURRENCY"])

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        return [child.pid for child in psutil.Process(self.process.pid).children()]

    def client(self, *, until_served: bool = True) -> Client:
        """A client with connections of its own; the server closes it at its end."""
        client = Client(self.url, until_served=until_served)
        self._clients.append(client)
        return client

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a `flask` command, such as `keys rotate`, in a process beside the server's."""
        return processes.run(
            "flask", *command, folder=self._folder, environ=self.environ, root=self._root
        )

    def output(self) -> str:
        """Return its output: standard output, then standard error."""
        return (self._folder / "stdout").read_text() + (self._folder / "stderr").read_text()

    def log(self) -> list[dict[str, Any]]:
        """The lines of standard output, each of which must be one JSON object."""
        lines = [json.loads(line) for line in (self._folder / "stdout").read_text().splitlines()]
        assert all(isinstance(line, dict) for line in lines)
        return lines

    def stop(self) -> int:
        """Send SIGTERM and wait for the end.

        Returns:
            The exit status, which a graceful stop makes 0.
        """
        for client in self._clients:
            client.close()
        self._reservation.close()
        status = self._end()
        assert SECRETS.found_in(self.output()) == [], "a secret was logged"
        return status

    def restart(self) -> None:
        """Stop it gracefully, and start it again at the same address."""
        assert self._end() == 0, self.output()
        self.process = self._start()
        self.wait_until_healthy()

    def _end(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(DEADLINE_SECS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
