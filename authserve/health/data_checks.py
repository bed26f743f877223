"""Checks of the stored data: keys, messages, sessions, passwords, and the audit trail."""

from datetime import timedelta

from sqlalchemy import func, select, table

from authserve.audit.retention import count_former_heads
from authserve.audit.seal import find_oldest_unsealed
from authserve.audit.status import find_last_verification, find_shared_address
from authserve.core.clock import now, to_rfc3339
from authserve.core.findings import Finding, Level
from authserve.database.transactions import read_all
from authserve.health.report import MAX_NAMED, join_names
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.policy import KeyState
from authserve.keys.rotation import list_keys
from authserve.keys.store import find_stores
from authserve.outbox.heartbeat import find_last_heartbeat
from authserve.outbox.inspect import list_messages
from authserve.outbox.policy import MAIL_DELAY, MessageState
from authserve.passwords.foreign_hashes import FLASK_SECURITY_PREFIX
from authserve.sessions.restored import has_restored_sessions
from authserve.settings.model import Settings
from authserve.users.filling import is_hash_stored
from authserve.users.lists import UserFilters, search_users

KEY_AGE_WARNING = timedelta(days=97)
"""A week after the automatic rotation by workers was due: an older key shows that it fails."""

MAX_LISTED_MESSAGES = 1_000

MAX_SILENCE = timedelta(minutes=10)
"""The age of the last heartbeat at which a worker counts as stopped; a running worker writes one
every minute (chosen)."""

SEAL_DELAY = timedelta(minutes=10)
"""The age at which an unsealed event is late; a running worker seals about every minute (chosen,
not measured)."""

NIGHTS_MISSED = timedelta(days=3)
"""The age above which the last verification is too old (chosen)."""


def check_signing_keys() -> Finding:
    """Check that the signing keys open under `SECRET_KEY`, and warn of one that is too old."""
    name = "signing keys"
    keys = list_keys()
    signing = next((key for key in keys if key.state is KeyState.ACTIVE), None)
    if signing is None:
        return Finding(name, Level.OK, "There is none yet; the first sign-in makes it.")
    try:
        _open_signing_keys()
    except SigningKeyUnavailableError:
        message = (
            "A signing key does not open under SECRET_KEY: put the former one into "
            "SECRET_KEY_FALLBACKS, or run `flask keys rotate --emergency`."
        )
        return Finding(name, Level.FAILURE, message)
    age = now() - signing.active_from
    if age > KEY_AGE_WARNING:
        message = f"The key signs for {age.days} days already: run `flask keys rotate`."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, f"The key {signing.kid} has signed for {age.days} d.")


def _open_signing_keys() -> None:
    """Open the keys that sign now, and make none.

    Raises:
        SigningKeyUnavailableError: one does not open.
    """
    for store in find_stores():
        if store.jwks():
            store.signing_key()


def check_worker() -> Finding:
    """Warn if no worker has run lately: without one, no mail is sent and no event is sealed."""
    name = "worker"
    seen_at = find_last_heartbeat()
    if seen_at is None:
        return Finding(name, Level.WARNING, "No worker has run yet: start `flask worker`.")
    silence = now() - seen_at
    if silence > MAX_SILENCE:
        minutes = int(silence.total_seconds()) // 60
        message = f"No worker has been alive for {minutes} minutes: start `flask worker`."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "A worker runs.")


def check_outbox() -> Finding:
    """Warn of mails that were given up, or that wait although a worker should send them."""
    dead = len(list_messages(state=MessageState.DEAD, limit=MAX_LISTED_MESSAGES))
    pending = list_messages(state=MessageState.PENDING, limit=MAX_LISTED_MESSAGES)
    if dead:
        message = f"{dead} mails were given up: see `flask outbox list --state dead`."
        return Finding("outbox", Level.WARNING, message)
    late = [row for row in pending if now() - row.created_at > MAIL_DELAY]
    if late:
        fault = next((row.last_error for row in late if row.last_error), None)
        message = f"{len(late)} mails wait for over ten minutes: does `flask worker` run?"
        if fault is not None:
            message = (
                f"{len(late)} mails wait for over ten minutes. One failed: {fault}. A changed "
                "setting has effect once `flask worker` is restarted."
            )
        return Finding("outbox", Level.WARNING, message)
    return Finding("outbox", Level.OK, f"Mails that wait: {len(pending)}.")


def check_client_addresses(settings: Settings) -> Finding:
    """Report the rule for client addresses; warn if all clients seem to share one address."""
    name, count = "client addresses", settings.trusted_proxies
    shared = find_shared_address()
    if shared is not None:
        return Finding(name, Level.WARNING, shared.warning)
    if count == 0:
        return Finding(name, Level.OK, "The client is the peer; X-Forwarded-For is ignored.")
    place = "the last" if count == 1 else f"number {count} from the end"
    return Finding(name, Level.OK, f"A client's address is {place} in X-Forwarded-For.")


def check_restored_sessions() -> Finding:
    """Warn of live sessions from a restored dump: some may have been ended since it was made."""
    is_restored = has_restored_sessions()
    if is_restored:
        message = (
            "Live sessions came from a backup, and some of them may have been ended since it was "
            "taken: run `flask sessions revoke --issued-before` with the time of the restore."
        )
        return Finding("sessions", Level.WARNING, message)
    if is_restored is None:
        return Finding("sessions", Level.OK, "Only PostgreSQL shows if it was restored.")
    return Finding("sessions", Level.OK, "No live session came from a dump.")


EXAMPLE_DOMAIN = "example.com"
"""The domain of the accounts of `docs/examples/users.json`; no mail reaches it (RFC 2606 §3)."""


def check_example_accounts(settings: Settings) -> Finding:
    """Warn in production of accounts that may be the example file's, whose passwords are public.

    Production refuses such a file, but not a database that was seeded elsewhere (ASVS 6.3.2).
    """
    name = "example accounts"
    filters = UserFilters(domain=EXAMPLE_DOMAIN, is_active=True)
    found = search_users(filters, limit=MAX_NAMED + 1) if settings.is_production else []
    if not found:
        return Finding(name, Level.OK, "No account is from an example file.")
    message = (
        f"Active accounts at {EXAMPLE_DOMAIN}: {join_names([user.email for user in found])}. The "
        "passwords of those in docs/examples/users.json are public: `flask users delete ADDRESS`."
    )
    return Finding(name, Level.WARNING, message)


def check_imported_passwords(settings: Settings) -> Finding:
    """Fail if accounts came from Flask-Security and its salt is not set."""
    name = "imported passwords"
    if settings.flask_security_salt or not is_hash_stored(FLASK_SECURITY_PREFIX):
        return Finding(name, Level.OK, "No imported password needs a setting that is not set.")
    message = (
        "Accounts came from Flask-Security and cannot sign in: set FLASK_SECURITY_SALT to that "
        "application's SECURITY_PASSWORD_SALT."
    )
    return Finding(name, Level.FAILURE, message)


def check_audit_trail() -> Finding:
    """Warn of events that stay unsealed: a change of them would not be detected."""
    oldest = find_oldest_unsealed()
    if oldest is not None and now() - oldest > SEAL_DELAY:
        message = "Audit events wait for over ten minutes to be sealed: does `flask worker` run?"
        return Finding("audit", Level.WARNING, message)
    return Finding("audit", Level.OK, "Audit events are sealed as they come.")


def check_audit_verification() -> Finding:
    """Report the outcome of the last nightly verification."""
    last = find_last_verification()
    if last is None:
        return Finding("audit verification", Level.OK, "No worker has verified the trail yet.")
    if last.fault is not None:
        message = f"The audit trail was tampered with: {last.fault}. See docs/audit.md, Verifying."
        return Finding("audit verification", Level.FAILURE, message)
    if now() - last.at > NIGHTS_MISSED:
        message = f"The audit trail was last verified at {to_rfc3339(last.at)}: is a worker killed?"
        return Finding("audit verification", Level.WARNING, message)
    at = to_rfc3339(last.at)
    return Finding("audit verification", Level.OK, f"The audit trail was whole at {at}.")


def check_former_secrets(settings: Settings) -> Finding:
    """Check that no batch of the audit trail still needs a former `SECRET_KEY`."""
    name = "former secrets"
    count = count_former_heads()
    if not count:
        return Finding(name, Level.OK, "The audit trail needs no former SECRET_KEY.")
    if settings.secret_key_fallbacks:
        message = (
            f"Only a former SECRET_KEY verifies {count} batches of the audit trail: run "
            "`flask audit rewrap` before you remove it from SECRET_KEY_FALLBACKS."
        )
        return Finding(name, Level.WARNING, message)
    message = (
        f"No configured SECRET_KEY verifies {count} batches of the audit trail: put the "
        "former one into SECRET_KEY_FALLBACKS and run `flask audit rewrap`."
    )
    return Finding(name, Level.FAILURE, message)


# It names the table alone: while the feature is off, its modules are not loaded.
_COUNT_PROVIDERS = select(func.count().label("total")).select_from(table("identity_providers"))


def check_unused_providers(settings: Settings) -> Finding:
    """Warn of registered providers while the feature that uses them is off."""
    name = "unused providers"
    count = 0 if "federation" in settings.features else read_all(_COUNT_PROVIDERS)[0].total
    if not count:
        return Finding(name, Level.OK, "No provider of sign-in is registered in vain.")
    message = (
        f"{count} providers of sign-in are registered, but FEATURES lacks federation: no one can "
        "sign in by them."
    )
    return Finding(name, Level.WARNING, message)
