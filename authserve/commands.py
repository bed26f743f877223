"""The `flask` commands and their own parts: Flask-Migrate, the mailer, the worker's jobs."""

from flask import Flask
from flask_migrate import Migrate
from flask_migrate.cli import db as migrations_group

# These modules add their commands to `users_group`.
from authserve.admin import cli_factors, cli_new_accounts, cli_sign_in  # noqa: F401
from authserve.admin.cli import users_group
from authserve.audit import worker as audit_worker
from authserve.audit.cli import audit_group
from authserve.auth.seen_devices import purge_forgotten_devices
from authserve.core.cli import reporting_errors
from authserve.database.readiness import MIGRATIONS_FOLDER
from authserve.database.transactions import db
from authserve.health.cli import doctor_command, ready_command, version_command
from authserve.keys.cli import keys_group
from authserve.mail.cli import mail_group
from authserve.mail.mailer import MAILER, Mailer
from authserve.mail.transports import helo_name, make_transport

# This module adds its command to `keys_group`.
from authserve.mfa import cli as mfa_cli  # noqa: F401
from authserve.mfa import worker as mfa_worker
from authserve.mfa.challenges import purge_spent_challenges
from authserve.mfa.email_codes import purge_dead_codes
from authserve.mfa.pending import purge_dead_pending
from authserve.mfa.totp_set_up import purge_dead_set_ups
from authserve.outbox.cli import outbox_group, worker_command
from authserve.outbox.inspect import purge_finished_messages
from authserve.outbox.worker import HEARTBEAT, MESSAGE_HANDLERS, PURGE_TASKS, SCHEDULED_JOBS
from authserve.ratelimit.throttle import purge_dead_counters
from authserve.rbac.cli import roles_group
from authserve.sessions.cli import sessions_group
from authserve.sessions.revoke import purge_dead_sessions
from authserve.settings.model import SETTINGS
from authserve.transfer.cli import export_command, import_command, seed_command
from authserve.users.released_usernames import purge_released_usernames
from authserve.verification import worker as verification_worker
from authserve.verification.tokens import purge_dead_tokens

users_group.add_command(import_command)
users_group.add_command(seed_command)
users_group.add_command(export_command)

COMMANDS = (
    users_group,
    roles_group,
    sessions_group,
    outbox_group,
    worker_command,
    mail_group,
    doctor_command,
    ready_command,
    version_command,
    keys_group,
    audit_group,
)

PURGES = (
    purge_dead_sessions,
    purge_dead_tokens,
    purge_finished_messages,
    purge_dead_counters,
    purge_released_usernames,
    purge_forgotten_devices,
    purge_spent_challenges,
    purge_dead_pending,
    purge_dead_codes,
    purge_dead_set_ups,
)
"""The functions with which the worker deletes obsolete rows, in slices."""


for migration_command in migrations_group.commands.values():
    if migration_command.callback is not None:
        migration_command.callback = reporting_errors()(migration_command.callback)


def add_commands(app: Flask) -> None:
    """Add authserve's commands and `flask db` to `app`."""
    Migrate(app, db, directory=str(MIGRATIONS_FOLDER))
    settings = SETTINGS.of(app)
    transport = make_transport(settings.mail_url, helo=helo_name(settings))
    MAILER.fill(app, Mailer(settings, transport))
    handlers = {**verification_worker.HANDLERS, **mfa_worker.HANDLERS}
    MESSAGE_HANDLERS.add(app, *handlers.items())
    PURGE_TASKS.add(app, *PURGES)
    SCHEDULED_JOBS.add(app, HEARTBEAT, *audit_worker.JOBS, *mfa_worker.JOBS)
    for command in COMMANDS:
        app.cli.add_command(command)
