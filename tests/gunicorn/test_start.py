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
import gc, json, runpy, sys
collections = gc.get_stats()[0]["collections"]
runpy.run_path("gunicorn.conf.py")
import wsgi
collections = gc.get_stats()[0]["collections"] - collections
names = [name for name, module in sys.modules.items() if module is not None]
print("\\n" + json.dumps({"collections": collections, "names": names}))
"""
"""A program that loads the application in the order of gunicorn's master."""

FOR_COMMANDS = {"authserve.commands", "alembic", "flask_migrate", "mako"}
FOR_METRICS = {"authserve.metrics", "prometheus_client"}
FOR_REDIS = {"redis"}
FOR_FACTORS = {"fido2", "passlib.totp", "segno"}
"""Imported by a worker's first ceremony, code and set-up: most workers have few of them."""
UNUSED = {"honcho", "requests", "sqlalchemy.dialects.postgresql", "urllib3", "zxcvbn"}

FOR_REQUESTS = {"bcrypt", "email_validator", "jwt.algorithms", "marshmallow"}
"""Modules that workers must share, not load by themselves at their first request."""


FEW_COLLECTIONS = 10
"""Of the youngest generation; with the collector on, there are some 230 (measured)."""


def load(folder: Path, **environ: str) -> tuple[set[str], int]:
    """The modules of a master that has loaded the application, and the collections meanwhile."""
    given = {
        "SECRET_KEY": "a secret for tests alone, 0123456789",
        "DATABASE_URL": f"sqlite:///{folder}/unused.db",
        **environ,
    }
    done = subprocess.run(
        [sys.executable, "-c", START], cwd=config.ROOT, env=given, capture_output=True, check=True
    )
    loaded = json.loads(done.stdout.splitlines()[-1])
    return set(loaded["names"]), loaded["collections"]


def test_what_is_off_by_default_is_not_loaded(tmp_path: Path) -> None:
    loaded, _ = load(tmp_path)
    assert loaded & (FOR_COMMANDS | FOR_METRICS | FOR_REDIS | FOR_FACTORS | UNUSED) == set()
    assert [name for name in loaded if name.endswith(".cli") and name.startswith("authserve")] == []
    assert loaded >= FOR_REQUESTS


def test_what_is_on_is_loaded_before_the_fork(tmp_path: Path) -> None:
    loaded, _ = load(tmp_path, METRICS_TOKEN="t" * 32, RATELIMIT_STORAGE_URL="redis://127.0.0.1:1")
    assert loaded >= FOR_METRICS | FOR_REDIS
    assert loaded & FOR_COMMANDS == set()


def test_the_collector_is_off_while_the_application_loads(tmp_path: Path) -> None:
    _, collections = load(tmp_path)
    assert collections <= FEW_COLLECTIONS


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
