"""The order of the checks of `flask doctor`: each examines one thing and names the remedy.

No check prints a secret or changes anything.
"""

from collections.abc import Iterator

from sqlalchemy.engine import make_url

from authserve.core.findings import Finding, Level
from authserve.database.transactions import db
from authserve.health.data_checks import (
    check_audit_trail,
    check_audit_verification,
    check_client_addresses,
    check_example_accounts,
    check_former_secrets,
    check_imported_passwords,
    check_outbox,
    check_restored_sessions,
    check_signing_keys,
    check_unused_providers,
    check_worker,
)
from authserve.health.database_checks import (
    check_clock,
    check_connection,
    check_connection_count,
    check_disk,
    check_file_modes,
    check_migrations,
    check_timeouts,
    check_writes,
)
from authserve.health.deployment_checks import (
    check_addresses,
    check_breached_passwords,
    check_cores,
    check_gunicorn,
    check_limits,
    check_mail,
    check_mail_templates,
    check_names,
    check_origins,
    check_outbound_hosts,
    check_secret,
)
from authserve.health.factor_checks import (
    check_accounts_with_mfa,
    check_administrators,
    check_passkey_settings,
    check_stored_passkeys,
    check_totp_secrets,
)
from authserve.health.report import FEATURE_CHECKS, FEATURE_DATA_CHECKS
from authserve.settings.model import SETTINGS, Settings


def examine() -> Iterator[Finding]:
    """Run every check; without the database, checks that need it are skipped."""
    settings = SETTINGS.get()
    yield check_names(settings)
    yield check_secret(settings)
    yield from check_addresses(settings)
    yield check_origins(settings)
    yield check_outbound_hosts(settings)
    yield check_passkey_settings(settings)
    yield check_limits(settings)
    yield check_gunicorn()
    yield check_cores(settings)
    yield check_mail(settings)
    yield check_mail_templates()
    yield check_breached_passwords(settings)
    yield from (check(settings) for check in FEATURE_CHECKS.get())
    connection = check_connection(settings)
    yield connection
    if connection.level is not Level.FAILURE:
        yield from _examine_database(settings)


def _examine_database(settings: Settings) -> Iterator[Finding]:
    yield from check_timeouts(make_url(settings.database_url))
    migrations = check_migrations()
    yield migrations
    yield check_clock()
    if migrations.level is not Level.FAILURE:
        writes = check_writes()
        yield writes
        yield from check_disk()
        yield from check_file_modes()
        if writes.level is not Level.FAILURE:
            yield from _examine_data(settings)
    if db.engine.dialect.name == "postgresql":
        yield check_connection_count(settings)


def _examine_data(settings: Settings) -> Iterator[Finding]:
    yield check_signing_keys()
    yield check_worker()
    yield check_outbox()
    yield check_client_addresses(settings)
    yield check_restored_sessions()
    yield check_imported_passwords(settings)
    yield check_example_accounts(settings)
    yield check_administrators(settings)
    yield check_accounts_with_mfa(settings)
    yield check_stored_passkeys(settings)
    yield check_totp_secrets()
    yield check_audit_trail()
    yield check_audit_verification()
    yield check_former_secrets(settings)
    yield check_unused_providers(settings)
    yield from (check(settings) for check in FEATURE_DATA_CHECKS.get())
