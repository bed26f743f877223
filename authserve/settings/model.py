"""What the service can be told, as one immutable value.

`config.py` at the top of the project reads the environment into a `Settings`; everything else only
reads it. Durations are `timedelta`, so no reader has to guess a unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Literal, cast

from authserve.core.container import component

AppEnv = Literal["development", "production", "test"]
"""Where the service runs; `production` alone refuses to start with unsafe settings."""

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
"""The names that `logging` has for its levels."""


class EmailVerification(StrEnum):
    """Whether an address has to be proven before its account may sign in."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Registration(StrEnum):
    """Whether visitors may open accounts."""

    OPEN = "open"
    CLOSED = "closed"


class SettingsError(Exception):
    """The service must not start as it is configured.

    Its text is meant for an operator's terminal: every fault at once, one a line.

    Args:
        faults: one sentence each, beginning with the variable's name. They must not hold a
            variable's value, which may be a secret that was put in the wrong place.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        lines = (f"  {fault}" for fault in self.faults)
        super().__init__("\n".join(("authserve cannot start as it is configured:", *lines)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordCost:
    """Argon2id's parameters; the defaults are OWASP's minimum (Password Storage cheat sheet)."""

    memory_kib: int = 19_456
    time_cost: int = 2
    parallelism: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of a running service; the environment's names are these in upper case.

    The defaults are the environment's, and stand nowhere else. Fields that hold a secret stay
    out of `repr`, so that no log or traceback prints one.
    """

    app_env: AppEnv = "development"
    secret_key: str = field(repr=False)
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    database_url: str = field(repr=False)
    """For SQLAlchemy: `postgresql+psycopg2://…`, or `sqlite:///` with an absolute path."""
    instance_path: Path
    """Not read from the environment: the absolute folder for what the service makes itself."""
    public_url: str = "http://localhost:8000"
    """Scheme, host and port, without a slash at the end: paths are appended to it.

    Without `PUBLIC_URL` its port is `PORT`; browsers allow passkeys at localhost, but not at
    127.0.0.1.
    """
    brand_name: str = ""
    """The service's name for people; empty: the host of `public_url` (`settings/brand.py`)."""
    registration: Registration = Registration.OPEN
    registration_domains: tuple[str, ...] = ()
    """The domains of the addresses that people may choose, in IDNA's ASCII; empty: all."""
    username_hold: timedelta = timedelta(days=365)
    """For how long a released username is kept for its former owner; zero: not at all."""
    new_device_mail: bool = True
    """Whether an owner is told of a sign-in from a new device."""
    jwt_audience: str = "authserve"
    access_token_ttl: timedelta = timedelta(minutes=10)
    refresh_idle_ttl: timedelta = timedelta(days=14)
    session_ttl: timedelta = timedelta(days=30)
    refresh_reuse_grace: timedelta = timedelta(seconds=10)
    fresh_ttl: timedelta = timedelta(minutes=5)
    email_verification: EmailVerification = EmailVerification.OPTIONAL
    mail_url: str = field(default="console:", repr=False)
    mail_from: str = "authserve <no-reply@localhost>"
    mail_helo: str = ""
    """The name for SMTP servers; empty for the host of `public_url`."""
    mail_templates: Path | None = None
    verify_url: str = ""
    reset_url: str = ""
    email_change_url: str = ""
    invite_url: str = ""
    """Empty for the service's own page; else `{token}` stands once, in the fragment."""
    password_min_length: int = 8
    breached_passwords_url: str = ""
    """Without a slash at the end; empty: no password is looked up."""
    flask_security_salt: str = field(default="", repr=False)
    """What Flask-Security mixed into the passwords of imported accounts; empty: nothing."""
    ratelimit_storage_url: str = field(default="database:", repr=False)
    """Where ordinary limits count: `database:`, or `redis://` or `rediss://`."""
    ratelimit_enabled: bool = True
    """Whether there are ordinary limits; the login throttle is on whatever this says."""
    trusted_proxies: int = 0
    database_pool_size: int = 8
    """Connections per worker."""
    hash_niceness: int = 15
    audit_retention: timedelta = timedelta(days=400)
    cors_origins: tuple[str, ...] = ()
    """Whose pages may call: scheme, host and port, as browsers send them."""
    metrics_token: str = field(default="", repr=False)
    """Empty: nothing is counted, and `/metrics` is not there."""
    log_level: LogLevel = "INFO"
    host: tuple[str, ...] = ()
    """IP addresses to listen on; `core.listening` has the default."""
    port: int = 8000
    web_concurrency: int = 2
    """Workers; `config.py` counts the machine's cores instead."""
    web_threads: int = 32
    """Threads per worker."""
    drain_seconds: int = 0
    """How long `/readyz` says 503 before a stopping server closes its listener."""
    password_cost: PasswordCost = PasswordCost()
    """Not read from the environment: tests alone make hashing cheaper."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """Where each variable's value came from; for `flask doctor`."""

    @property
    def is_production(self) -> bool:
        """Whether unsafe settings stop the start."""
        return self.app_env == "production"


SETTINGS_EXTENSION = "authserve.settings"


def get_settings() -> Settings:
    """The settings of the application that handles the current request or command."""
    return cast(Settings, component(SETTINGS_EXTENSION))
