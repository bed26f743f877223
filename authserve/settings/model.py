"""The service's settings as one immutable value.

`config.py` at the top of the project reads the environment into a `Settings`; all other code only
reads it. Durations are `timedelta`, so no reader has to guess a unit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from authserve.core.container import Slot
from authserve.core.frozen import frozen
from authserve.core.outbound_hosts import NO_HOSTS, IPNetwork, OutboundHosts
from authserve.settings.return_urls import ReturnURL

AppEnv = Literal["development", "production", "test"]
"""The kind of deployment; only `production` refuses to start with unsafe settings."""

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
"""The names of `logging`'s levels."""


FEATURE_NAMES: tuple[str, ...] = ("pages", "oidc", "api-keys", "forward-auth", "federation")
"""The closed list of optional features, which `FEATURES` switches on."""

FEATURE_NEEDS: Mapping[str, str] = {
    "oidc": "pages",
    "forward-auth": "oidc",
    "federation": "pages",
}
"""Features that work only beside another one."""


class EmailVerification(StrEnum):
    """The policy for verification of email addresses; `required` blocks login until verified."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class Registration(StrEnum):
    """The policy for visitors who want to open accounts."""

    OPEN = "open"
    CLOSED = "closed"


class Mfa(StrEnum):
    """The policy for second factors; `required` asks every account for one."""

    OFF = "off"
    OPTIONAL = "optional"
    REQUIRED = "required"


class SettingsError(Exception):
    """A configuration with which the service must not start.

    The message is for an operator's terminal: it lists every fault, one a line.

    Args:
        faults: one sentence each, beginning with the variable's name. They must not hold a
            variable's value, because it may be a secret that was put into the wrong variable.
    """

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        lines = (f"  {fault}" for fault in self.faults)
        super().__init__("\n".join(("authserve cannot start as it is configured:", *lines)))


@frozen(kw_only=True)
class PasswordCost:
    """Argon2id's parameters; the defaults are OWASP's minimum (Password Storage cheat sheet)."""

    memory_kib: int = 19_456
    time_cost: int = 2
    parallelism: int = 1


@frozen(kw_only=True)
class Settings:
    """The settings of a running service; the environment's variables are these in upper case.

    The defaults here apply if a variable is not set. Fields that hold a secret are excluded from
    `repr`, so that no log or traceback prints one.
    """

    app_env: AppEnv = "development"
    secret_key: str = field(repr=False)
    secret_key_fallbacks: tuple[str, ...] = field(default=(), repr=False)
    database_url: str = field(repr=False)
    """In SQLAlchemy's form: `postgresql+psycopg2://…`, or `sqlite:///` with an absolute path."""
    instance_path: Path
    """Not read from the environment: the absolute folder for files that the service creates."""
    public_url: str = "http://localhost:8000"
    """Scheme, host and port, without a slash at the end, because paths are appended.

    Without `PUBLIC_URL`, the port is `PORT`. The host is localhost because browsers allow
    passkeys there, but not at 127.0.0.1.
    """
    features: tuple[str, ...] = ()
    """The optional features that are on, from `FEATURE_NAMES`."""
    brand_name: str = ""
    """The service's name for people; empty means the host of `public_url` (`brand_name`)."""
    brand_logo: Path | None = None
    """An SVG or PNG file; None means the built-in mark."""
    brand_color: str = "#2457a6"
    """In lower case; pages move its lightness until text in it can be read."""
    brand_terms_url: str = ""
    brand_privacy_url: str = ""
    brand_support_url: str = ""
    """This and the two above: https or mailto; empty means no link."""
    languages: tuple[str, ...] = ("en", "de", "es")
    """The languages of pages and mails, tags of `LANGUAGE_NAMES`, in the order of the switch."""
    default_language: str = "en"
    """The language for readers of whom none of `languages` is known to suit."""
    registration: Registration = Registration.OPEN
    registration_domains: tuple[str, ...] = ()
    """Domains of the addresses that users may choose, in IDNA's ASCII; empty means all."""
    username_hold: timedelta = timedelta(days=365)
    """The time that a released username stays reserved for its former owner; zero means none."""
    new_device_mail: bool = True
    """True if owners get a mail about a login from a new device."""
    jwt_audience: str = "authserve"
    access_token_ttl: timedelta = timedelta(minutes=10)
    refresh_idle_ttl: timedelta = timedelta(days=14)
    session_ttl: timedelta = timedelta(days=30)
    refresh_reuse_grace: timedelta = timedelta(seconds=10)
    fresh_ttl: timedelta = timedelta(minutes=5)
    sso_idle_ttl: timedelta = timedelta(hours=12)
    """Idle limit of a browser's session that its user did not ask to keep."""
    sso_ttl: timedelta = timedelta(days=14)
    """Absolute limit of a browser's session that its user asked to keep."""
    email_verification: EmailVerification = EmailVerification.OPTIONAL
    mail_url: str = field(default="console:", repr=False)
    mail_from: str = "authserve <no-reply@localhost>"
    mail_helo: str = ""
    """The name that SMTP servers receive in EHLO; empty means the host of `public_url`."""
    mail_templates: Path | None = None
    verify_url: str = ""
    reset_url: str = ""
    email_change_url: str = ""
    invite_url: str = ""
    """This and the three links above: empty means the service's own page; otherwise `{token}`
    appears once, in the fragment."""
    return_urls: tuple[ReturnURL, ...] = ()
    """Addresses, with those below them, that pages may send a person back to."""
    pages_templates: Path | None = None
    """A folder with the templates of an operator's own head, header and footer; None means none."""
    password_min_length: int = 8
    breached_passwords_url: str = ""
    """Without a slash at the end; empty means that no password is looked up."""
    flask_security_salt: str = field(default="", repr=False)
    """The salt that Flask-Security mixed into passwords of imported accounts; empty means none."""
    mfa: Mfa = Mfa.OPTIONAL
    mfa_enroll_by: datetime | None = None
    """With `Mfa.REQUIRED`, accounts without a factor sign in until then; None means no longer."""
    mfa_reset_delay: timedelta = timedelta(0)
    """The time between an administrator's reset of factors and its effect."""
    passkey_rp_id: str = "localhost"
    """The relying party's id, in IDNA's ASCII; empty means that there are no passkeys."""
    passkey_origins: tuple[str, ...] = ("http://localhost:8000",)
    """Origins of pages and Android apps that may use passkeys, as clients send them."""
    totp_issuer: str = "localhost"
    """The name that authenticator apps show; it has no colon.

    `config.py` derives this and the two above from `public_url` where they are not set.
    """
    email_sign_in: bool = False
    """True if a mailed code alone opens an account that needs no second factor."""
    api_key_prefix: str = "ask_"
    """The beginning of API keys that are made from now on; keys with another one are refused."""
    ratelimit_storage_url: str = field(default="database:", repr=False)
    """The storage of the ordinary limits' counters: `database:`, `redis://…` or `rediss://…`."""
    ratelimit_enabled: bool = True
    """True if ordinary limits apply; the login throttle always applies."""
    trusted_proxies: int = 0
    database_pool_size: int = 8
    """Connections per worker."""
    hash_niceness: int = 15
    audit_retention: timedelta = timedelta(days=400)
    outbound_hosts: OutboundHosts = NO_HOSTS
    """Hosts that may have private addresses or be called by http, if a client's URL names them."""
    forward_auth_networks: tuple[IPNetwork, ...] = (
        IPv4Network("127.0.0.0/8"),
        IPv6Network("::1/128"),
    )
    """The networks of the reverse proxies that may ask for their applications' users."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call the API: scheme, host and port, as browsers send them."""
    metrics_token: str = field(default="", repr=False)
    """Empty means that nothing is counted and `/metrics` does not exist."""
    log_level: LogLevel = "INFO"
    host: tuple[str, ...] = ()
    """IP addresses to listen on; empty means the default of `serving/sockets.py`."""
    port: int = 8000
    web_concurrency: int = 2
    """Worker processes; `config.py` replaces this default with the number of usable cores."""
    web_threads: int = 32
    """Threads per worker."""
    drain_seconds: int = 0
    """Seconds that `/readyz` returns 503 before a stopping server closes its listener."""
    password_cost: PasswordCost = PasswordCost()
    """Not read from the environment: only tests make hashing cheaper."""
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)
    """The source of each variable's value, for `flask doctor`."""
    other_names: tuple[str, ...] = field(default_factory=tuple, compare=False)
    """Variables that are set and no setting: `flask doctor` looks for typing errors in them."""

    @property
    def api_audience(self) -> str:
        """The `aud` of OAuth access tokens for the service's own API (RFC 8707)."""
        return f"{self.public_url}/api/v1"

    @property
    def is_production(self) -> bool:
        """True if unsafe settings prevent the start."""
        return self.app_env == "production"


SETTINGS = Slot[Settings]("settings")


def brand_name(settings: Settings) -> str:
    """Return `BRAND_NAME`, or the host of `PUBLIC_URL` if it is not set."""
    return settings.brand_name or urlsplit(settings.public_url).hostname or "localhost"


def brand_words(settings: Settings) -> tuple[str, ...]:
    """Return the words that identify this service, for the password policy.

    An attacker who guesses passwords knows the service's name and host (ASVS 6.1.2). The words
    are the name and the host, each whole and in parts, and the name without spaces.
    """
    brand, host = settings.brand_name, urlsplit(settings.public_url).hostname or ""
    return (brand, "".join(brand.split()), *brand.split(), host, *host.split("."))
