"""The parser of `DATABASE_URL`: each parameter is used, or refused by name at start.

libpq parses the URL of a PostgreSQL server, so this accepts what `psql` accepts: several hosts,
socket folders, TLS files and `options`. The result is the equivalent URL in SQLAlchemy's form.
"""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote

import psycopg2
from marshmallow import ValidationError
from psycopg2.extensions import parse_dsn
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from authserve.settings.parsers import Parser, parse_text

POOLER = "pgbouncer"
"""The only parameter that libpq does not define. `true` means that a pooler may give each
transaction another connection: no statement is prepared, and no session setting is relied on."""

_MAX_PORT = 65_535

_POSTGRESQL_SCHEMES = ("postgres", "postgresql", "postgresql+psycopg2")
_SQLITE_SCHEMES = ("sqlite", "sqlite+pysqlite")

_NO_URL = (
    "is not a database URL; write postgresql://user:password@host:5432/name, with special "
    "characters of the password percent-encoded"
)

_POOL_HINT = "set DATABASE_POOL_SIZE instead"
_TLS_HINT = "write sslmode=require, or sslmode=verify-full with sslrootcert"
_SCHEMA_HINT = "write options=-csearch_path%3DNAME"
_HINTS = {
    "schema": _SCHEMA_HINT,
    "currentschema": _SCHEMA_HINT,
    "search_path": _SCHEMA_HINT,
    "ssl": _TLS_HINT,
    "sslaccept": _TLS_HINT,
    "tls": _TLS_HINT,
    "uselibpqcompat": _TLS_HINT,
    "connection_limit": _POOL_HINT,
    "pool_size": _POOL_HINT,
    "pool": _POOL_HINT,
    "max_overflow": _POOL_HINT,
    "statement_timeout": "write options=-cstatement_timeout%3DMILLISECONDS",
    "statement_cache_size": "write pgbouncer=true behind a pooler in transaction mode",
    "prepared_statements": "write pgbouncer=true behind a pooler in transaction mode",
    "preparethreshold": "write pgbouncer=true behind a pooler in transaction mode",
    "encoding": "remove it; UTF-8 is used",
    "client_encoding": "remove it; UTF-8 is used",
    "replication": "remove it",
}
"""Replacements for parameters of other programs; the keys are in lower case."""

_CHOICES = {
    POOLER: ("true", "false"),
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "sslnegotiation": ("postgres", "direct"),
    "channel_binding": ("disable", "prefer", "require"),
    "gssencmode": ("disable", "prefer", "require"),
    "load_balance_hosts": ("disable", "random"),
    "target_session_attrs": (
        "any",
        "read-write",
        "read-only",
        "primary",
        "standby",
        "prefer-standby",
    ),
}
"""The allowed values of parameters with a closed list (PostgreSQL 17, §34.1.2)."""

_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_count",
    "tcp_user_timeout",
)


def database_url(base: Path) -> Parser[str]:
    """Return a parser of a database URL; its result is a URL for SQLAlchemy.

    Args:
        base: the absolute folder that a relative `sqlite:///` path starts from, so that the
            database does not depend on a command's working folder.
    """

    def parse(raw: str) -> str:
        scheme, separator, rest = parse_text(raw).partition("://")
        if separator and scheme in _POSTGRESQL_SCHEMES:
            return _render(_parse_postgresql(rest))
        url = _split(raw)
        if url.drivername in _SQLITE_SCHEMES:
            _check_sqlite_parameters(url.query)
            return _render(url.set(drivername="sqlite", database=str(_sqlite_path(url, base))))
        raise ValidationError("must begin with sqlite:/// or postgresql://")

    return parse


def _parse_postgresql(rest: str) -> URL:
    """Parse the part of the URL after `postgresql://`."""
    address, _, query = rest.partition("?")
    if "@" in query:
        # The password probably holds a question mark; the message must not quote any part of it.
        raise ValidationError(_NO_URL)
    ours, libpqs = _split_query(query)
    try:
        parameters = parse_dsn(f"postgresql://{address}?{libpqs}")
    except psycopg2.ProgrammingError:
        raise ValidationError(_NO_URL) from None
    _check_hosts(parameters)
    _check_values(ours | parameters)
    return _build(parameters, ours)


def _split_query(query: str) -> tuple[dict[str, str], str]:
    """Return this service's own parameter, and the rest of the query for libpq."""
    pairs = [pair.partition("=")[::2] for pair in query.split("&") if pair]
    for name, count in Counter(unquote(name) for name, _ in pairs).items():
        _check_name(name)
        if count > 1:
            raise ValidationError(f"has the parameter {name} more than once")
    ours = {name: value for name, value in pairs if name == POOLER}
    return ours, "&".join(f"{name}={value}" for name, value in pairs if name != POOLER)


def _check_name(name: str) -> None:
    if not _PARAMETER.fullmatch(name):
        raise ValidationError(_NO_URL)
    hint = _HINTS.get(name.lower())
    if hint is not None:
        raise ValidationError(f"has no parameter {name}; {hint}")
    if name != POOLER and not _is_known_to_libpq(name):
        raise ValidationError(f"has no parameter {name}; remove it")


_PARAMETER = re.compile(r"[A-Za-z_]{2,40}")


def _is_known_to_libpq(name: str) -> bool:
    try:
        parse_dsn(f"postgresql:///?{name}=1")
    except psycopg2.ProgrammingError:
        return False
    return True


def _check_hosts(parameters: Mapping[str, str]) -> None:
    hosts, ports = _split_list(parameters, "host"), _split_list(parameters, "port")
    if any(port and not _is_port(port) for port in ports):
        raise ValidationError(f"must have a port from 1 to {_MAX_PORT}")
    if len(ports) > 1 and len(ports) != len(hosts):
        raise ValidationError("must have one port for all hosts, or one for each")


def _split_list(parameters: Mapping[str, str], name: str) -> list[str]:
    return parameters.get(name, "").split(",")


def _is_port(text: str) -> bool:
    return re.fullmatch(r"[0-9]{1,5}", text) is not None and 1 <= int(text) <= _MAX_PORT


def _check_values(parameters: Mapping[str, str]) -> None:
    for name, value in parameters.items():
        if name in _CHOICES and value not in _CHOICES[name]:
            raise ValidationError(f"must have as {name} one of: {', '.join(_CHOICES[name])}")
        if name in _NUMBERS and not re.fullmatch(r"[0-9]{1,9}", value):
            raise ValidationError(f"must have a whole number as {name}")


def _build(parameters: dict[str, str], ours: Mapping[str, str]) -> URL:
    """Build SQLAlchemy's URL; several hosts and socket folders go into its query."""
    hosts, ports = _split_list(parameters, "host"), _split_list(parameters, "port")
    url = URL.create(
        "postgresql+psycopg2",
        username=parameters.pop("user", None),
        password=parameters.pop("password", None),
        database=parameters.pop("dbname", None),
    )
    if len(hosts) == 1 and not hosts[0].startswith(("/", "@")):
        parameters.pop("host", None)
        parameters.pop("port", None)
        url = url.set(host=hosts[0] or None, port=int(ports[0]) if ports[0] else None)
    is_pooled = ours.get(POOLER) == "true"
    return url.set(query=parameters | ({POOLER: "true"} if is_pooled else {}))


def _split(raw: str) -> URL:
    try:
        return make_url(raw)
    except (ArgumentError, ValueError):
        raise ValidationError(_NO_URL) from None


def _check_sqlite_parameters(query: Mapping[str, object]) -> None:
    for name, value in query.items():
        if name != "timeout":
            is_name = _PARAMETER.fullmatch(name)
            raise ValidationError(f"has no parameter {name}; remove it" if is_name else _NO_URL)
        if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,3}(\.[0-9]{1,3})?", value):
            raise ValidationError("must have a number of seconds as timeout")


def _sqlite_path(url: URL, base: Path) -> Path:
    # Each connection to ':memory:' would get its own empty database.
    if not url.database or url.database.startswith((":", "file:")):
        raise ValidationError("must name a file: sqlite:///relative/path or sqlite:////path")
    if url.host or url.username:
        raise ValidationError("takes three slashes before a relative SQLite path, four before /")
    return base / url.database


def _render(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def sqlite_url(path: Path) -> str:
    """Return the URL of the SQLite database in the file at `path`."""
    return _render(URL.create("sqlite", database=str(path)))


def find_sqlite_file(database_url: str) -> Path | None:
    """Return the file that a parsed database URL names, or None for a server's URL."""
    url = make_url(database_url)
    return Path(url.database) if url.drivername == "sqlite" and url.database else None


def is_pooled(url: URL) -> bool:
    """Return True if a pooler may give each transaction another connection."""
    return url.query.get(POOLER) == "true"


def driver_url(database_url: str) -> URL:
    """Return the URL for the driver, without this service's own parameter."""
    return make_url(database_url).difference_update_query([POOLER])


def hosts_of(url: URL) -> list[str]:
    """Return the hosts of a parsed URL; a socket folder begins with a slash."""
    hosts = url.host or str(url.query.get("host", ""))
    return [host for host in hosts.split(",") if host]
