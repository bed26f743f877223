"""Fixtures: an application on a migrated database of its own, clients, and a frozen clock.

A test that takes `app` runs on SQLite, or on what a mark of `support/marks.py` names. Each gets a
copy of a database that the real migrations made once: the token check reads on AUTOCOMMIT
connections of its own, so an outer transaction around a test would hide the truth.
"""

import fcntl
import gc
import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg2
import pytest
import time_machine
import trustme
from flask import Flask
from flask.testing import FlaskClient, FlaskCliRunner
from flask_migrate import upgrade
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import make_url
from sqlalchemy.orm import Mapper

from authserve.app import create_app
from authserve.core.crypto import KEYRING, Keyring
from authserve.core.deadline import TLSContext, make_tls_context
from authserve.database.circuit import PROBE_THREAD
from authserve.database.transactions import db
from authserve.http.url_rules import LazyRule
from authserve.passwords.hasher import PASSWORD_HASHER
from authserve.ratelimit import storage
from authserve.settings.model import SETTINGS, PasswordCost, Settings
from tests.support.clients import Caller
from tests.support.copied_callers import copied_caller
from tests.support.crowd import DEADLINE_SECS
from tests.support.file_order import find_quick, order_files
from tests.support.postgresql import PostgreSQL, copy_files, running_postgresql
from tests.support.processes import the_parent
from tests.support.redis import RedisServer
from tests.support.secrecy import SECRETS, Eavesdropper, NotingClient, eavesdrop
from tests.support.server import Server

pytest_plugins = ["tests.support.forks"]

Flask.test_client_class = NotingClient

# No verdict may depend on how busy the machine is, nor on luck.
hypothesis_settings.register_profile(
    "tests", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
hypothesis_settings.load_profile("tests")

CHEAP = PasswordCost(memory_kib=8, time_cost=1)
"""Argon2's minimum cost, as few tests are about it."""

DATABASES = ("sqlite", "postgresql")


def remember_rules() -> None:
    """Parse each route once a process: most of the cost of an application."""
    parsed: dict[tuple[object, ...], dict[str, Any]] = {}

    def compile_once(rule: LazyRule) -> None:
        key = (rule.rule, rule.subdomain, rule.merge_slashes, repr(rule.defaults))
        if key not in parsed:
            super(LazyRule, rule).compile()
            names = ("_parts", "_trace", "_converters", "_build", "_build_unknown", "arguments")
            parsed[key] = {name: vars(rule)[name] for name in names}
        vars(rule).update(parsed[key])

    LazyRule.compile = compile_once  # type: ignore[method-assign]


remember_rules()


class SharedStatements(dict[tuple[Any, ...], object]):
    """Compiled statements of all applications of a process: a fifth of its time would compile them.

    SQLAlchemy's key begins with the dialect, of which each engine has its own.
    """

    def get(self, key: tuple[Any, ...], default: object = None) -> object:
        """Return the statement that any engine of the same kind of database compiled."""
        return super().get((key[0].name, *key[1:]), default)

    def __setitem__(self, key: tuple[Any, ...], compiled: object) -> None:
        super().__setitem__((key[0].name, *key[1:]), compiled)


STATEMENTS = SharedStatements()

# A flush compiles into a cache of the mapper instead.
Mapper._compiled_cache = STATEMENTS  # type: ignore[assignment]


def memory_folder() -> Path | None:
    """Return a folder where a commit waits for no disk, or None if there is no room for one."""
    folder = Path("/dev/shm")
    has_room = os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > 2**30
    return folder if has_room else None


def pytest_configure() -> None:
    """Keep the files of the tests in memory, and trust none of the system's authorities.

    No test reaches another machine, and a TLS context reads all authorities in 19 ms of CPU
    (measured).
    """
    os.environ.setdefault("SSL_CERT_FILE", os.devnull)
    if folder := memory_folder():
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Prepare what processes share before they are forked.

    The garbage collector skips imported code and collected tests, and runs less often.
    """
    if session.config.getoption("forks"):
        the_parent()
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 10)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--quick`, which `make test-quick` uses, and `--record-answers`."""
    parser.addoption("--quick", action="store_true", help="run the first test of each fast file")
    parser.addoption(
        "--record-answers", action="store_true", help="write the records of tests/contracts anew"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put files in the order of `order_files`, or choose what `--quick` runs."""
    place = {path: number for number, path in enumerate(order_files(item.path for item in items))}
    items.sort(key=lambda item: place[item.path])
    if config.getoption("quick"):
        chosen = find_quick(items)
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen


def make_settings(database_url: str, instance_path: Path, **changes: object) -> Settings:
    """Settings of a test: cheap hashes, a secret of its own, otherwise the defaults."""
    settings = Settings(
        app_env="test",
        secret_key="a secret for tests alone, 0123456789",
        database_url=database_url,
        instance_path=instance_path,
        password_cost=CHEAP,
        # The hashing thread keeps its priority: other work could delay it for long.
        hash_niceness=0,
        web_threads=64,
        # Tests make many calls from one address; tests of limits turn limits on.
        ratelimit_enabled=False,
        # Tests of all calls of the API include those of mailed codes.
        email_sign_in=True,
    )
    settings = replace(settings, **changes)  # type: ignore[arg-type]
    SECRETS.note_settings(settings)
    return settings


def migrate(database_url: str, instance_path: Path) -> None:
    """Bring a database to the newest revision, as `flask db upgrade` does."""
    app = create_app(make_settings(database_url, instance_path))
    with app.app_context():
        upgrade()
        db.engine.dispose()


def libpq_url(database_url: str) -> str:
    """SQLAlchemy's URL of a PostgreSQL database as psycopg2 takes it."""
    return database_url.replace("postgresql+psycopg2://", "postgresql://", 1)


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    """A certificate authority that no system knows."""
    return trustme.CA()


@pytest.fixture(scope="session")
def trusting(authority: trustme.CA) -> TLSContext:
    """The TLS context of a client that trusts the authority."""
    context = make_tls_context()
    authority.configure_trust(context)
    return context


def make_once(path: Path, make: Callable[[Path], None]) -> Path:
    """Return a path at which `make` writes; the first process that needs it calls `make`."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            unfinished = path.with_suffix(f".{os.getpid()}")
            make(unfinished)
            unfinished.rename(path)
    return path


POSTGRESQL_SETTINGS = """
fsync = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off
shared_buffers = 32MB
"""
"""No test cuts the power, and none copies the log. With smaller buffers, a database is made and
dropped in three quarters of the CPU time (measured)."""


@pytest.fixture(scope="session")
def postgresql_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a stopped PostgreSQL with the migrated database `template`, to copy.

    A copy starts in a tenth of the CPU time that making them takes (measured).
    """

    def make(path: Path) -> None:
        with running_postgresql(memory_folder()) as server:
            url = PostgreSQL(server).create("template")
            migrate(url, tmp_path_factory.mktemp("instance"))
            server.cleanup()
            copy_files(server.pgdata, path)
        with (path / "postgresql.conf").open("a") as settings:
            settings.write(POSTGRESQL_SETTINGS)

    return make_once(tmp_path_factory.getbasetemp() / "postgresql", make)


@pytest.fixture(scope="session")
def postgresql(postgresql_files: Path) -> Iterator[PostgreSQL]:
    """A server of this process, with the database `template` migrated."""
    with running_postgresql(memory_folder(), postgresql_files) as server:
        postgresql = PostgreSQL(server)
        # No test crashes this server.
        postgresql.execute("ALTER SYSTEM SET synchronous_commit = off")
        postgresql.execute("SELECT pg_reload_conf()")
        # A first connection stores what each connection to a copy would read from its catalogs.
        psycopg2.connect(libpq_url(postgresql.url("template"))).close()
        yield postgresql


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file to copy."""

    def make(path: Path) -> None:
        migrate(f"sqlite:///{path}", tmp_path_factory.mktemp("instance"))

    return make_once(tmp_path_factory.getbasetemp() / "template.db", make)


@pytest.hookimpl(tryfirst=True)
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on the kinds of database that its closest mark of `support/marks.py` names."""
    kinds = metafunc.definition.get_closest_marker("databases")
    if kinds and "database_kind" in metafunc.fixturenames:
        mark = pytest.mark.parametrize("database_kind", kinds.args, indirect=True)
        metafunc.definition.add_marker(mark)


@pytest.fixture(scope="module", params=["sqlite"])
def database_kind(request: pytest.FixtureRequest) -> str:
    """The kind of database that a test uses: SQLite, unless a mark names others."""
    kind: str = request.param
    return kind


@contextmanager
def fresh_database(request: pytest.FixtureRequest, kind: str, folder: Path) -> Iterator[str]:
    """A migrated database of its own, of one of `DATABASES`; yields its URL."""
    if kind == "sqlite":
        path = folder / "test.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    postgresql: PostgreSQL = request.getfixturevalue("postgresql")
    name = f"test_{uuid4().hex}"
    yield postgresql.create(name, template="template")
    postgresql.drop(name)


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, database_kind: str, tmp_path: Path
) -> Iterator[str]:
    """A migrated database of this test's own."""
    with fresh_database(request, database_kind, tmp_path) as url:
        yield url


def be_patient(app: Flask) -> None:
    """Let an application wait for its connections and its hashing thread: the machine may be busy.

    Tests of these limits have engines and hashers of their own, or real servers.
    """
    db.engine.pool._timeout = DEADLINE_SECS  # type: ignore[attr-defined]
    PASSWORD_HASHER.of(app)._max_wait_secs = DEADLINE_SECS


@pytest.fixture
def make_app(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Make applications on this test's database, with settings of the test's choice."""
    apps: list[Flask] = []

    def make(**changes: object) -> Flask:
        app = create_app(make_settings(database_url, tmp_path, **changes))
        with app.app_context():
            db.engine.update_execution_options(compiled_cache=STATEMENTS)
            be_patient(app)
        apps.append(app)
        return app

    yield make
    for app in apps:
        with app.app_context():
            db.engine.dispose()


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """An application with the settings of a test."""
    return make_app()


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    """An application context, for tests that call services."""
    with app.app_context():
        yield


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """An anonymous client."""
    return app.test_client()


@pytest.fixture
def runner(app: Flask) -> FlaskCliRunner:
    """A runner of `flask` commands; their log lines are not in the result."""
    return app.test_cli_runner(capture="fd")


@pytest.fixture
def make_server(database_url: str, tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start real gunicorns on this test's database, with variables of the test's choice."""
    servers: list[Server] = []
    with ExitStack() as stops:

        def make(*, files: Mapping[str, str] | None = None, **environ: str) -> Server:
            folder = tmp_path / f"server{len(servers)}"
            server = Server(make_settings(database_url, tmp_path), folder, environ, files)
            stops.callback(server.stop)
            servers.append(server)
            server.wait_until_healthy()
            return server

        yield make
    for server in servers:
        assert server.process.returncode == 0, server.output()


@pytest.fixture
def server(make_server: Callable[..., Server]) -> Server:
    """A real gunicorn with three workers, which answers; its exit status must be 0."""
    return make_server()


@pytest.fixture
def redis_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[RedisServer]:
    """A Redis with nothing in it, for whose answers applications of the test wait for long."""
    monkeypatch.setattr(storage, "REDIS_TIMEOUT_SECS", DEADLINE_SECS)
    server = RedisServer(tmp_path)
    yield server
    server.close()


@pytest.fixture
def alice(app: Flask) -> Caller:
    """Alice, registered and signed in."""
    return copied_caller(app, "alice")


@pytest.fixture
def bob(app: Flask) -> Caller:
    """Bob, registered and signed in."""
    return copied_caller(app, "bob")


@pytest.fixture
def charlie(app: Flask) -> Caller:
    """Charlie, the user without rights to the data of others."""
    return copied_caller(app, "charlie")


@pytest.fixture
def admin(app: Flask) -> Caller:
    """An administrator, signed in."""
    return copied_caller(app, "admin", roles=("admin",))


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """A clock that is frozen until the test moves it."""
    with time_machine.travel(datetime(2030, 1, 1, 12, 0, tzinfo=UTC), tick=False) as traveller:
        yield traveller


@pytest.fixture(autouse=True)
def overheard() -> Iterator[Eavesdropper]:
    """The log of the test's process, in which no secret of the test may appear."""
    yield from eavesdrop()


@pytest.fixture(autouse=True)
def _no_probe_outlives_its_test() -> Iterator[None]:
    """No thread that probes a lost database logs into the next test.

    It ends with the engine: a test that makes an application without `make_app` disposes it.
    """
    yield
    for thread in threading.enumerate():
        if thread.name == PROBE_THREAD:
            thread.join(DEADLINE_SECS)
            assert not thread.is_alive(), "an engine that lost its database was not disposed"


@pytest.fixture(autouse=True)
def _no_outside_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine reaches a test."""
    for name in ("DATABASE_URL", "SECRET_KEY", "APP_ENV", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    os.environ.setdefault("XDG_RUNTIME_DIR", tempfile.gettempdir())


@pytest.fixture
def lose_database(
    app: Flask, database_url: str, request: pytest.FixtureRequest
) -> Callable[[], None]:
    """Take the database away, also with open connections to it."""
    url = make_url(database_url)

    def lose() -> None:
        if url.get_backend_name() == "postgresql":
            request.getfixturevalue("postgresql").drop(url.database)
            return
        with app.app_context():
            db.engine.dispose()
        path = Path(url.database or "")
        path.unlink()
        path.mkdir()

    return lose


Log = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log(capfd: pytest.CaptureFixture[str]) -> Log:
    """Return the lines logged since the last call; each must be JSON."""

    def read() -> list[dict[str, Any]]:
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return read


CORE_SECRET = "the present secret, 0123456789 0123456789"


def core_app(*secrets: str) -> Flask:
    """An application that has settings, and keys made of `secrets`, newest first."""
    app = Flask("core")
    SETTINGS.fill(app, make_settings("sqlite://", Path("nowhere")))
    KEYRING.fill(app, Keyring(secrets or (CORE_SECRET,)))
    return app


@pytest.fixture(scope="module")
def core_context() -> Iterator[None]:
    """The context of an application with keys alone, for all tests of a module."""
    with core_app().app_context():
        yield


@pytest.fixture
def with_secrets() -> Callable[..., AbstractContextManager[object]]:
    """Enter the context of an application with other secrets."""
    return lambda *secrets: core_app(*secrets).app_context()
