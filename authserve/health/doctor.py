"""The checks of `flask doctor`: each examines one thing and names the remedy for a fault.

No check prints a secret or changes anything.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from authserve.core.clock import now
from authserve.database.readiness import is_migrated
from authserve.database.transactions import db, reading
from authserve.health import database as database_checks
from authserve.health.clients import client_addresses, ordinary_limits
from authserve.health.finding import Finding, Level
from authserve.health.imported_passwords import imported_passwords
from authserve.health.processes import web_workers, worker
from authserve.health.restores import sessions
from authserve.health.server import gunicorn_version
from authserve.health.trail import audit_trail, audit_verification, former_secrets
from authserve.keys.errors import SigningKeyUnavailableError
from authserve.keys.policy import KeyState
from authserve.keys.rotation import list_keys
from authserve.keys.store import KEY_STORE
from authserve.mail.errors import TransportError
from authserve.mail.mailer import MAILER
from authserve.outbox.inspect import list_messages
from authserve.outbox.policy import MessageState
from authserve.passwords.breached import BREACHED_PASSWORDS, RangeServiceError
from authserve.settings.database_url import hosts_of
from authserve.settings.model import SETTINGS, Settings

CLOCK_WARNING = timedelta(seconds=5)
CLOCK_FAILURE = timedelta(seconds=30)
"""Token verification allows 30 s between clocks; beyond that, it rejects valid tokens."""

KEY_AGE_WARNING = timedelta(days=97)
"""A week after the automatic rotation by workers was due: an older key shows that it fails."""

MAX_LISTED_MESSAGES = 1_000


def examine() -> Iterator[Finding]:
    """Run every check; without the database, checks that need it are skipped."""
    settings = SETTINGS.get()
    yield _secret(settings)
    yield from _addresses(settings)
    yield _origins(settings)
    yield ordinary_limits(settings)
    yield gunicorn_version()
    yield web_workers(settings)
    yield _mail(settings)
    yield _mail_templates()
    yield _breached_passwords(settings)
    database = _database(settings)
    yield database
    if database.level is Level.FAILURE:
        return
    yield from database_checks.timeouts(make_url(settings.database_url))
    migrations = _migrations()
    yield migrations
    yield _clock()
    is_usable = False
    if migrations.level is not Level.FAILURE:
        writes = database_checks.writes()
        yield writes
        yield from database_checks.file_modes()
        is_usable = writes.level is not Level.FAILURE
    if is_usable:
        yield _signing_keys()
        yield worker()
        yield _outbox()
        yield client_addresses(settings)
        yield sessions()
        yield imported_passwords(settings)
        yield audit_trail()
        yield audit_verification()
        yield former_secrets(settings)
    if db.engine.dialect.name == "postgresql":
        yield _connections(settings)


def _secret(settings: Settings) -> Finding:
    name = "secret"
    if settings.is_production:
        return Finding(name, Level.OK, "SECRET_KEY is set and strong.")
    source = settings.sources.get("SECRET_KEY")
    if source == "made":
        return Finding(name, Level.OK, "SECRET_KEY was made in the instance folder.")
    return Finding(name, Level.OK, f"SECRET_KEY comes from {source}.")


def _addresses(settings: Settings) -> Iterator[Finding]:
    is_https = settings.public_url.startswith("https:")
    if is_https and settings.trusted_proxies == 0:
        yield Finding(
            "proxies",
            Level.WARNING,
            "PUBLIC_URL is https, which this service does not speak itself, yet TRUSTED_PROXIES is "
            "0: every client will seem to come from the proxy. Say how many proxies there are.",
        )
    elif not is_https and settings.trusted_proxies:
        yield Finding(
            "proxies",
            Level.WARNING,
            "TRUSTED_PROXIES is set while PUBLIC_URL is not https: without a proxy in front, "
            "clients can claim any address.",
        )
    else:
        count = settings.trusted_proxies
        yield Finding("proxies", Level.OK, f"{count} proxies are trusted.")
    yield Finding(
        "tls",
        Level.OK if is_https or not settings.is_production else Level.FAILURE,
        f"Links and the issuer begin with {settings.public_url}. No cookie is set by any call.",
    )


def _origins(settings: Settings) -> Finding:
    name = "origins"
    allowed = settings.cors_origins
    if not allowed:
        return Finding(name, Level.OK, "CORS_ORIGINS is empty: no other origin's pages may call.")
    links = ("verify_url", "reset_url", "email_change_url", "invite_url")
    strange = [
        link.upper()
        for link in links
        if (url := getattr(settings, link))
        and _origin_of(url) not in (*allowed, _origin_of(settings.public_url))
    ]
    if strange:
        message = (
            f"{', '.join(strange)}: CORS_ORIGINS does not list where it leads, so that page cannot "
            "call from the browser. List its origin, or let its own server call."
        )
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, f"The pages of {len(allowed)} origins may call.")


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _mail(settings: Settings) -> Finding:
    scheme = urlsplit(settings.mail_url).scheme
    try:
        MAILER.get().check()
    except TransportError as error:
        message = f"Mail cannot leave: {error.reason}. Look at MAIL_URL and at the mail server."
        return Finding("mail", Level.FAILURE, message)
    if scheme == "console":
        return Finding("mail", Level.WARNING, "Mail goes to the log: no recipient gets it.")
    return Finding("mail", Level.OK, f"Mail can leave by {scheme}.")


def _mail_templates() -> Finding:
    name = "mail templates"
    faults = list(MAILER.get().find_template_faults())
    if faults:
        message = f"These mails cannot be built: {'; '.join(faults)}. Look at MAIL_TEMPLATES."
        return Finding(name, Level.FAILURE, message)
    return Finding(name, Level.OK, "Every mail can be built.")


def _breached_passwords(settings: Settings) -> Finding:
    name = "breached passwords"
    if not settings.breached_passwords_url:
        return Finding(name, Level.OK, "BREACHED_PASSWORDS_URL is empty: none is looked up.")
    try:
        knows_passwords = BREACHED_PASSWORDS.get().check()
    except RangeServiceError as error:
        message = (
            f"New passwords are not looked up: {error.reason}. Look at BREACHED_PASSWORDS_URL."
        )
        return Finding(name, Level.FAILURE, message)
    if not knows_passwords:
        message = "The service answers, but it does not even know the most common password."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "The service answers.")


def _database(settings: Settings) -> Finding:
    url = make_url(settings.database_url)
    hosts = hosts_of(url)
    where = f"{url.get_backend_name()} at {', '.join(hosts) or url.database}"
    try:
        with reading() as connection:
            connection.execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        hint = database_checks.explain_connect_error(reason)
        message = f"{where} does not answer ({reason}). {hint}"
        return Finding("database", Level.FAILURE, message)
    is_far = url.get_backend_name() == "postgresql" and not all(map(_is_local, hosts))
    if is_far and url.query.get("sslmode") not in ("require", "verify-ca", "verify-full"):
        message = f"{where} answers, but its TLS is not required: add ?sslmode=verify-full."
        return Finding("database", Level.WARNING, message)
    if settings.is_production and url.get_backend_name() == "sqlite":
        message = f"{where} answers. SQLite serves one machine: use PostgreSQL for more."
        return Finding("database", Level.WARNING, message)
    return Finding("database", Level.OK, f"{where} answers.")


def _is_local(host: str) -> bool:
    return host.startswith(("/", "@")) or host in ("localhost", "127.0.0.1", "::1")


def _migrations() -> Finding:
    try:
        has_all_migrations = is_migrated()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        message = f"The database's revision cannot be read ({reason}): grant SELECT on its tables."
        return Finding("migrations", Level.FAILURE, message)
    if has_all_migrations:
        return Finding("migrations", Level.OK, "The database has what this release expects.")
    message = "The database is not at this release's revision: run `flask db upgrade`."
    return Finding("migrations", Level.FAILURE, message)


def _clock() -> Finding:
    difference = abs(now() - _database_time())
    seconds = f"{difference.total_seconds():.1f} s"
    if difference > CLOCK_FAILURE:
        level, hint = Level.FAILURE, " Good tokens will be refused: let NTP set both clocks."
    elif difference > CLOCK_WARNING:
        level, hint = Level.WARNING, " Let NTP set both clocks."
    else:
        level, hint = Level.OK, ""
    return Finding("clock", level, f"This machine and the database differ by {seconds}.{hint}")


def _database_time() -> datetime:
    if db.engine.dialect.name == "postgresql":
        with reading() as connection:
            found: datetime = connection.execute(text("SELECT now()")).scalar_one()
        return found
    # SQLite runs in this process and uses its clock.
    return now()


def _signing_keys() -> Finding:
    name = "signing keys"
    keys = list_keys()
    signing = next((key for key in keys if key.state is KeyState.ACTIVE), None)
    if signing is None:
        return Finding(name, Level.OK, "There is none yet; the first sign-in makes it.")
    try:
        KEY_STORE.get().signing_key()
    except SigningKeyUnavailableError:
        message = (
            "The signing key does not open under SECRET_KEY: put the former one into "
            "SECRET_KEY_FALLBACKS, or run `flask keys rotate --emergency`."
        )
        return Finding(name, Level.FAILURE, message)
    age = now() - signing.active_from
    if age > KEY_AGE_WARNING:
        message = f"The key signs for {age.days} days already: run `flask keys rotate`."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, f"The key {signing.kid} signs since {age.days} days.")


def _outbox() -> Finding:
    dead = len(list_messages(state=MessageState.DEAD, limit=MAX_LISTED_MESSAGES))
    pending = list_messages(state=MessageState.PENDING, limit=MAX_LISTED_MESSAGES)
    if dead:
        message = f"{dead} mails were given up: see `flask outbox list --state dead`."
        return Finding("outbox", Level.WARNING, message)
    late = [row for row in pending if now() - row.created_at > timedelta(minutes=10)]
    if late:
        message = f"{len(late)} mails wait for over ten minutes: does `flask worker` run?"
        return Finding("outbox", Level.WARNING, message)
    return Finding("outbox", Level.OK, f"{len(pending)} mails are waiting.")


def _connections(settings: Settings) -> Finding:
    with reading() as connection:
        maximum = int(connection.execute(text("SHOW max_connections")).scalar_one())
    wanted = settings.web_concurrency * settings.database_pool_size
    message = (
        f"This machine's {settings.web_concurrency} workers may open {wanted} connections of "
        f"the server's {maximum}."
    )
    if wanted >= maximum:
        hint = " Lower DATABASE_POOL_SIZE or WEB_CONCURRENCY, or raise max_connections."
        return Finding("connections", Level.FAILURE, message + hint)
    return Finding("connections", Level.OK, message)
