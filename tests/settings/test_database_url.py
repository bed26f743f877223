"""Each parameter of `DATABASE_URL` is honoured, or refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from marshmallow import ValidationError
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from authserve.app import create_app
from authserve.database.engine import engine_options, find_statement_limit
from authserve.database.transactions import db, reading
from authserve.settings.database_url import database_url as parser_of
from authserve.settings.database_url import driver_url
from tests.conftest import make_settings
from tests.support.marks import on_postgresql
from tests.support.tcp_proxy import tcp_proxy

parse = parser_of(Path("/srv"))

LEAK = "hunter2"


def libpq_parameters(raw: str) -> dict[str, Any]:
    """Return the driver's parameters for a `DATABASE_URL`."""
    url = driver_url(parse(raw))
    _, parameters = PGDialect_psycopg2().create_connect_args(url)
    return parameters | engine_options(parse(raw), pool_size=1)["connect_args"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgres://u:p@h/d", {"user": "u", "password": "p", "host": "h", "dbname": "d"}),
        ("postgres://u:p%40%3F@h:6543/d", {"password": "p@?", "port": 6543}),
        ("postgres://[2001:db8::1]:5433/d", {"host": "2001:db8::1", "port": 5433}),
        ("postgres://u@%2Fvar%2Frun%2Fpg/d", {"host": "/var/run/pg", "dbname": "d"}),
        ("postgres://u@%2Fvar%2Frun:5433/d", {"host": "/var/run", "port": "5433"}),
        ("postgres:///d?host=/tmp&port=5433", {"host": "/tmp", "port": "5433"}),
        ("postgres:///d", {"dbname": "d"}),
        (
            "postgres://u:p@a:5432,b:5433/d",
            {"host": "a,b", "port": "5432,5433", "target_session_attrs": "read-write"},
        ),
        ("postgres://a,b/d", {"host": "a,b"}),
        ("postgres://a,b/d?target_session_attrs=any", {"target_session_attrs": "any"}),
        ("postgres://a,[::1]:5433/d", {"host": "a,::1", "port": ",5433"}),
        ("postgres://h/d?application_name=auth", {"application_name": "auth"}),
        ("postgres://h/d", {"connect_timeout": 3}),
        ("postgres://h/d?connect_timeout=10", {"connect_timeout": "10"}),
        (
            "postgres://h/d?sslmode=verify-full&sslrootcert=/etc/ca.pem&channel_binding=require",
            {"sslmode": "verify-full", "sslrootcert": "/etc/ca.pem", "channel_binding": "require"},
        ),
        ("postgres://h/d?keepalives_idle=30&tcp_user_timeout=5000", {"keepalives_idle": "30"}),
        ("postgres://h/d?user=u&password=p", {"user": "u", "password": "p"}),
        ("postgres://h/d?pgbouncer=false", {"host": "h"}),
    ],
)
def test_it_honours(url: str, expected: dict[str, Any]) -> None:
    parameters = libpq_parameters(url)
    assert {name: parameters.get(name) for name in expected} == expected
    assert "pgbouncer" not in parameters
    # A URL that was written is read unchanged.
    assert parse(parse(url)) == parse(url)


@pytest.mark.parametrize(
    ("query", "name", "hint"),
    [
        ("schema=auth", "schema", "options=-csearch_path%3D"),
        ("currentSchema=auth", "currentSchema", "options=-csearch_path%3D"),
        ("ssl=true", "ssl", "sslmode=require"),
        ("sslaccept=strict", "sslaccept", "sslmode=require"),
        ("connection_limit=5", "connection_limit", "DATABASE_POOL_SIZE"),
        ("prepared_statements=false", "prepared_statements", "pgbouncer=true"),
        ("client_encoding=latin1", "client_encoding", "UTF-8"),
        ("pool_timeout=3", "pool_timeout", "remove it"),
        ("pgbouncer=yes", "pgbouncer", "true, false"),
        ("sslmode=on", "sslmode", "verify-full"),
        ("target_session_attrs=rw", "target_session_attrs", "read-write"),
        ("connect_timeout=soon", "connect_timeout", "whole number"),
        ("sslmode=require&sslmode=disable", "sslmode", "more than once"),
    ],
)
def test_it_refuses_by_name(query: str, name: str, hint: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(f"postgres://u:{LEAK}@h/d?{query}")
    assert name in caught.value.messages[0]
    assert hint in caught.value.messages[0]
    assert LEAK not in caught.value.messages[0]


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://u:{LEAK}?x=1@h/d",
        f"postgres://u:a?{LEAK}@h/d",
        f"postgres://u:%zz{LEAK}@h/d",
        f"postgres://u:{LEAK}@h:port/d",
        f"postgres://u:{LEAK}@a:1,b:2,c/d?port=1,2",
        f"postgres://u:{LEAK}@h/d?{LEAK}=1",
        f"postgresql+asyncpg://u:{LEAK}@h/d",
        f"{LEAK}://h",
        f"sqlite:///a.db?{LEAK}=1",
        "sqlite:///a.db?mode=ro",
        "sqlite:///a.db?timeout=long",
        "sqlite:///a.db?isolation_level=DEFERRED",
    ],
)
def test_it_repeats_no_part_of_what_it_cannot_read(url: str) -> None:
    with pytest.raises(ValidationError) as caught:
        parse(url)
    assert LEAK not in caught.value.messages[0]


def test_the_timeout_of_sqlite_is_the_operators() -> None:
    url = parse("sqlite:///a.db?timeout=7.5")
    assert make_url(url).query["timeout"] == "7.5"
    assert "timeout" not in engine_options(url, pool_size=1).get("connect_args", {})


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ("", 5.5),
        ("-c search_path=auth", 5.5),
        ("-c statement_timeout=20000", 20.5),
        ("-cstatement_timeout=20s -c lock_timeout=1", 20.5),
        ("--statement-timeout=1min", 60.5),
        ("-c statement_timeout=0", None),
        ("-c statement_timeout=1d", None),
    ],
)
def test_the_watchdog_follows_the_operators_statement_timeout(
    options: str, seconds: float | None
) -> None:
    assert find_statement_limit(options) == seconds


@on_postgresql
def test_options_are_merged(database_url: str, tmp_path: Path) -> None:
    options = "-c statement_timeout=7s -c work_mem=5MB -c search_path=public,pg_catalog"
    url = make_url(database_url).update_query_dict({"options": options, "application_name": "mine"})
    app = create_app(make_settings(url.render_as_string(hide_password=False), tmp_path))
    expected = {
        "statement_timeout": "7s",
        "lock_timeout": "2s",
        "work_mem": "5MB",
        "search_path": "public,pg_catalog",
        "application_name": "mine",
    }
    with app.app_context():
        with reading() as connection:
            assert {name: connection.scalar(text(f"SHOW {name}")) for name in expected} == expected
        db.engine.dispose()


@on_postgresql
def test_of_several_hosts_the_one_that_takes_writes_is_used(database_url: str) -> None:
    """The first host is down, as a former primary may be."""
    direct = make_url(database_url)
    folder = str(direct.query["host"])
    with tcp_proxy(f"{folder}/.s.PGSQL.5432") as closed:
        pass
    with tcp_proxy(f"{folder}/.s.PGSQL.5432") as proxy:
        hosts = f"127.0.0.1:{closed.port},127.0.0.1:{proxy.port}"
        raw = f"postgres://{direct.username}@{hosts}/{direct.database}?sslmode=disable"
        engine = create_engine(driver_url(parse(raw)), **engine_options(parse(raw), pool_size=1))
        with engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1
        engine.dispose()


@on_postgresql
def test_a_folder_of_sockets_in_the_host_is_used(database_url: str, tmp_path: Path) -> None:
    direct = make_url(database_url)
    folder = str(direct.query["host"]).replace("/", "%2F")
    url = parse(f"postgres://{direct.username}@{folder}/{direct.database}")
    app = create_app(make_settings(url, tmp_path))
    assert app.test_client().get("/readyz").status_code == 200
    output = app.test_cli_runner().invoke(args=["doctor"]).output
    assert f"postgresql at {direct.query['host']} answers." in output
    with app.app_context():
        db.engine.dispose()


def test_sqlite_needs_no_timeouts_of_a_server(make_app: Callable[..., Flask]) -> None:
    assert "timeouts:" not in make_app().test_cli_runner().invoke(args=["doctor"]).output
