"""The `flask` commands of every feature, and what they alone need: Flask-Migrate, above all."""

from flask import Flask
from flask_migrate import Migrate

from authserve.admin.cli import users_group
from authserve.audit.cli import audit_group
from authserve.core.db import db
from authserve.core.migration_state import MIGRATIONS_FOLDER
from authserve.doctor.cli import doctor_command
from authserve.keys.cli import keys_group
from authserve.outbox.cli import outbox_group, worker_command
from authserve.sessions.cli import sessions_group
from authserve.transfer.cli import export_command, import_command

users_group.add_command(import_command)
users_group.add_command(export_command)

COMMANDS = (
    users_group,
    sessions_group,
    outbox_group,
    worker_command,
    doctor_command,
    keys_group,
    audit_group,
)


def add_commands(app: Flask) -> None:
    """Let the `flask` command drive `app`: our commands, and `flask db`."""
    Migrate(app, db, directory=str(MIGRATIONS_FOLDER))
    for command in COMMANDS:
        app.cli.add_command(command)
