"""Modules that a web worker has loaded at its start: all that requests need, and no others."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import config
from tests.support.server import DEADLINE_SECS, Server

START = """
import json, runpy, sys
runpy.run_path("gunicorn.conf.py")
import wsgi
print("\\n" + json.dumps([name for name, module in sys.modules.items() if module is not None]))
"""
"""In the order of gunicorn's master."""

FOR_COMMANDS = {"authserve.commands", "alembic", "flask_migrate", "mako"}
FOR_METRICS = {"authserve.metrics", "prometheus_client"}
FOR_REDIS = {"redis"}
UNUSED = {"honcho", "requests", "urllib3", "zxcvbn"}

FOR_REQUESTS = {"bcrypt", "email_validator", "jwt.algorithms", "marshmallow"}
"""Some that a worker must not have to load at its first request, each worker by itself."""


def load(folder: Path, **environ: str) -> set[str]:
    """The modules of a master that has loaded the application with these settings."""
    given = {
        "SECRET_KEY": "a secret for tests alone, 0123456789",
        "DATABASE_URL": f"sqlite:///{folder}/unused.db",
        **environ,
    }
    done = subprocess.run(
        [sys.executable, "-c", START], cwd=config.ROOT, env=given, capture_output=True, check=True
    )
    names: list[str] = json.loads(done.stdout.splitlines()[-1])
    return set(names)


def test_what_is_off_by_default_is_not_loaded(tmp_path: Path) -> None:
    loaded = load(tmp_path)
    assert loaded & (FOR_COMMANDS | FOR_METRICS | FOR_REDIS | UNUSED) == set()
    assert [name for name in loaded if name.endswith(".cli") and name.startswith("authserve")] == []
    assert loaded >= FOR_REQUESTS


def test_what_is_on_is_loaded_before_the_fork(tmp_path: Path) -> None:
    loaded = load(tmp_path, METRICS_TOKEN="t" * 32, RATELIMIT_STORAGE_URL="redis://127.0.0.1:1")
    assert loaded >= FOR_METRICS | FOR_REDIS
    assert loaded & FOR_COMMANDS == set()


@pytest.mark.gunicorn
@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
def test_one_socket_takes_ipv6_and_ipv4_whose_clients_keep_their_addresses(
    make_server: Callable[..., Server],
) -> None:
    server = make_server(HOST="::", PUBLIC_URL="http://localhost:8000")
    port = urlsplit(server.url).port
    for host in ("127.0.0.1", "::1"):
        with socket.create_connection((host, port), DEADLINE_SECS) as client:
            client.sendall(b"GET / HTTP/9.9\r\n\r\n")
            assert client.recv(100).startswith(b"HTTP/1.1 400 ")
    refused = [line["ip"] for line in server.log() if line["event"] == "request refused"]
    assert refused == ["127.0.0.1", "::1"]
