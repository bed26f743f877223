"""Users who are registered and signed in once, and copied into the databases of other tests.

A copy is the rows and the tokens that the calls gave to the first test, in a quarter of their CPU
time (measured). It has nothing of what they leave in the memory of an application, such as the
counts of metrics; and its times are up to `MAX_AGE` in the past.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Table, func, insert, select
from sqlalchemy.engine import Connection

from authserve.audit.models import AuditEvent
from authserve.core.clock import now
from authserve.database.transactions import db
from authserve.keys.models import SigningKey
from authserve.rbac.models import Role
from authserve.settings.model import SETTINGS, Settings
from authserve.users.models import User
from tests.support.clients import Caller, register_caller
from tests.support.secrecy import SECRETS

MAX_AGE = timedelta(seconds=30)
"""Age at which a caller is registered anew: far below each lifetime (chosen)."""

FILLED_BY_TRIGGER = "audit_unsealed"
"""The table of which each new audit event makes a row."""

Rows = Mapping[Table, list[dict[str, Any]]]


@dataclass(frozen=True)
class _Original:
    """A caller, and the rows of a registration and a sign-in."""

    registered_at: datetime
    caller: Caller
    rows: Rows

    def is_young(self) -> bool:
        """Return True if no time of the test can be older or much younger."""
        return timedelta() <= now() - self.registered_at < MAX_AGE

    def copy_to(self, app: Flask) -> Caller:
        """Insert the rows, and return the caller as a client of an application."""
        with app.app_context(), db.engine.begin() as connection:
            for table, rows in self.rows.items():
                connection.execute(insert(table), rows)
        SECRETS.note(self.caller.password)
        SECRETS.note_body(self.caller.tokens)
        return self.hand_out(app.test_client())

    def hand_out(self, client: FlaskClient) -> Caller:
        """Return the caller for one test, which may replace its tokens."""
        return Caller(client=client, user=dict(self.caller.user), tokens=dict(self.caller.tokens))


BASE = select(
    select(func.count()).select_from(Role).scalar_subquery(),
    select(func.max(SigningKey.kid)).scalar_subquery(),
    select(func.count()).select_from(User).scalar_subquery(),
    select(func.count()).select_from(AuditEvent).scalar_subquery(),
)
"""What the rows of a new user build on: roles, the signing key, and what has happened so far."""

_originals: dict[object, _Original | None] = {}
"""By what determines the rows; None for what one test alone has needed so far."""


def copied_caller(app: Flask, name: str, *, roles: Iterable[str] = ()) -> Caller:
    """Return the caller that `register_caller` would return, from a copy if there is one."""
    settings = replace(SETTINGS.of(app), database_url="", instance_path=Path())
    if has_counts_in_memory(settings):
        return register_caller(app, name, roles=roles)
    with app.app_context(), db.engine.connect() as connection:
        key = (name, tuple(roles), settings, find_base(connection))
    original = _originals.get(key)
    if original and original.is_young():
        return original.copy_to(app)
    if key not in _originals:
        _originals[key] = None
        return register_caller(app, name, roles=roles)
    _originals[key] = original = register_original(app, name, roles=roles)
    return original.hand_out(original.caller.client)


def has_counts_in_memory(settings: Settings) -> bool:
    """Return True if calls leave more than rows in an application with these settings."""
    return settings.ratelimit_enabled or bool(settings.metrics_token)


def find_base(connection: Connection) -> tuple[object, ...]:
    """Return `BASE`, and the kind of database."""
    row = connection.execute(BASE).one()
    return (connection.dialect.name, *row)


def register_original(app: Flask, name: str, *, roles: Iterable[str]) -> _Original:
    """Register and sign in a user, and return the rows that this adds."""
    before = read_all_rows(app)
    caller = register_caller(app, name, roles=roles)
    added = {}
    for table, rows in read_all_rows(app).items():
        added[table] = [row for row in rows if row not in before[table]]
        assert len(rows) == len(before[table]) + len(added[table]), f"{table} has changed rows"
    rows = {table: rows for table, rows in added.items() if rows}
    return _Original(now(), caller, rows)


def read_all_rows(app: Flask) -> Rows:
    """Return the rows of each table, in an order in which they can be inserted."""
    with app.app_context(), db.engine.connect() as connection:
        return {
            table: [dict(row) for row in connection.execute(select(table)).mappings()]
            for table in db.metadata.sorted_tables
            if table.name != FILLED_BY_TRIGGER
        }
