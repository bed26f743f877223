"""The environment, read once: the only module that looks at it.

`SETTINGS` says for every variable how it is parsed; its default stands in `Settings`. What one
variable cannot know about itself, the rules below the table add: files that hold secrets,
variables that depend on each other, what production refuses, and what is made on first use.
"""

import os
import sys
from collections.abc import Mapping
from dataclasses import MISSING, fields
from io import StringIO
from pathlib import Path
from typing import Any, get_args

from dotenv import dotenv_values
from marshmallow import ValidationError

from authserve.core.cpu_quota import count_usable_cores
from authserve.settings.database_url import database_url, find_sqlite_file, sqlite_url
from authserve.settings.env_file import find_env_faults, read_env_text
from authserve.settings.model import (
    AppEnv,
    EmailVerification,
    LogLevel,
    Registration,
    Settings,
    SettingsError,
)
from authserve.settings.parsers import (
    Parser,
    choice,
    days,
    folder,
    parse_addresses,
    parse_bearer_token,
    parse_brand,
    parse_domains,
    parse_helo,
    parse_mailbox,
    parse_on_off,
    parse_optional_line,
    parse_secret,
    parse_secrets,
    parse_switch,
    parse_text,
    seconds,
    whole,
)
from authserve.settings.production_rules import find_production_faults
from authserve.settings.secret_files import make_folder, read_or_make_secret
from authserve.settings.urls import (
    parse_limit_storage_url,
    parse_link,
    parse_mail_url,
    parse_origin,
    parse_origins,
    parse_range_url,
)

ROOT = Path(__file__).resolve().parent

_TEN_YEARS = 315_360_000
"""In seconds. Chosen: longer than any session should last, and far inside `datetime`'s range."""

_MAX_WORKERS = 64

SETTINGS: Mapping[str, Parser[Any]] = {
    "APP_ENV": choice(get_args(AppEnv)),
    "SECRET_KEY": parse_secret,
    "SECRET_KEY_FALLBACKS": parse_secrets,
    "DATABASE_URL": database_url(ROOT),
    "PUBLIC_URL": parse_origin,
    "BRAND_NAME": parse_brand,
    "REGISTRATION": choice(Registration),
    "REGISTRATION_DOMAINS": parse_domains,
    "USERNAME_HOLD": days(0, 36_500),
    "NEW_DEVICE_MAIL": parse_on_off,
    "JWT_AUDIENCE": parse_text,
    "ACCESS_TOKEN_TTL": seconds(60, 3600),
    "REFRESH_IDLE_TTL": seconds(1, _TEN_YEARS),
    "SESSION_TTL": seconds(1, _TEN_YEARS),
    "REFRESH_REUSE_GRACE": seconds(0, 10),
    "FRESH_TTL": seconds(1, _TEN_YEARS),
    "EMAIL_VERIFICATION": choice(EmailVerification),
    "MAIL_URL": parse_mail_url,
    "MAIL_FROM": parse_mailbox,
    "MAIL_HELO": parse_helo,
    "MAIL_TEMPLATES": folder(ROOT),
    "VERIFY_URL": parse_link,
    "RESET_URL": parse_link,
    "EMAIL_CHANGE_URL": parse_link,
    "INVITE_URL": parse_link,
    "PASSWORD_MIN_LENGTH": whole(8, 64),
    "BREACHED_PASSWORDS_URL": parse_range_url,
    "FLASK_SECURITY_SALT": parse_optional_line,
    "RATELIMIT_STORAGE_URL": parse_limit_storage_url,
    "RATELIMIT_ENABLED": parse_switch,
    "TRUSTED_PROXIES": whole(0, 10),
    "DATABASE_POOL_SIZE": whole(1, 100),
    "HASH_NICENESS": whole(0, 19),
    "AUDIT_RETENTION": days(1, 36_500),
    "CORS_ORIGINS": parse_origins,
    "METRICS_TOKEN": parse_bearer_token,
    "LOG_LEVEL": choice(get_args(LogLevel)),
    "HOST": parse_addresses,
    "PORT": whole(1, 65_535),
    "WEB_CONCURRENCY": whole(1, _MAX_WORKERS),
    "WEB_THREADS": whole(2, 256),
    "DRAIN_SECONDS": whole(0, 300),
}
"""In the order of the documentation and of `.env.example`.

An access token may live an hour because other services honour it that long after its session has
ended (10 minutes are the default, RFC 8725 and 9068 ask for short); a refresh token is answered
twice for 10 s at most (ASVS 10.4.5, and the default of Supabase); a password's least length is 8 at
least and no more than the 64 that must be accepted (NIST SP 800-63B-4 §3.1.1.2). The other bounds
are chosen, to catch slips of the hand.
"""

SECRETS = (
    "SECRET_KEY",
    "SECRET_KEY_FALLBACKS",
    "DATABASE_URL",
    "MAIL_URL",
    "RATELIMIT_STORAGE_URL",
    "METRICS_TOKEN",
    "FLASK_SECURITY_SALT",
)
"""These can also come from the file that `NAME_FILE` names, as container platforms hand them in."""


def load_settings(
    environ: Mapping[str, str] | None = None, *, instance_path: Path | None = None
) -> Settings:
    """Read every setting, or say everything that is wrong with them.

    Args:
        environ: the variables; `.env` in the project's folder under `os.environ` when left out.
        instance_path: the folder for what the service makes itself: the secret key and the
            SQLite database of a service that was told neither. `instance` in the project's
            folder when left out; it is made (0700) when something goes there.

    Returns:
        Settings that satisfy every rule of this module.

    Raises:
        SettingsError: with all faults at once, none of which holds a variable's value.
    """
    file, process, env_faults = _read_environ() if environ is None else ({}, environ, [])
    process = _drop_empty(process)
    given = _drop_empty(file) | process
    raw, unreadable = _read_secret_files(given)
    parsed, unparsable = _parse(raw)
    values = _defaults() | parsed
    # A default must not stand in for what was said: the rules pass over a variable at fault.
    for name in unreadable | unparsable:
        values.pop(name.lower(), None)
    _follow_port(values, raw)
    faults = [*env_faults, *unreadable.values(), *unparsable.values()]
    faults += _fit_into_session(values, raw)
    if values.get("app_env") == "production":
        faults += find_production_faults(values, given)
    if faults:
        raise SettingsError(faults)
    # Only now, so that a refused start leaves nothing behind.
    instance_path = (instance_path or ROOT / "instance").absolute()
    _make_missing(values, instance_path)
    sources = {name: _find_source(name, file=given, process=process) for name in SETTINGS}
    return Settings(**values, instance_path=instance_path, sources=sources)


def _find_source(name: str, *, file: Mapping[str, str], process: Mapping[str, str]) -> str:
    """Say for the operator where a variable's value came from."""
    file_name = f"{name}_FILE"
    found = next((key for key in (name, file_name) if key in file), None)
    if found is None:
        return "made" if name == "SECRET_KEY" else "default"
    place = "environment" if found in process else ".env"
    return f"the file that {found} names ({place})" if found == file_name else place


def _drop_empty(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that have a value: `X=` counts as unset."""
    return {name: value for name, value in variables.items() if value}


def load_settings_or_exit() -> Settings:
    """Read the settings for a program: faults go to stderr with no traceback, exit status 1."""
    try:
        return load_settings()
    except SettingsError as error:
        sys.exit(str(error))


def _read_environ() -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the variables of `.env`, those of the process, and the faults of `.env`.

    The `flask` command puts the variables of `.env` into the process before this is called, and
    expands `${NAME}` everywhere. So a variable counts as the file's if it has that value.
    """
    process = dict(os.environ)
    try:
        text = (ROOT / ".env").read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, process, []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f".env: cannot be read ({_reason(error)})"]) from None
    if faults := list(find_env_faults(text, SETTINGS)):
        # APP_ENV itself may be among what was not understood.
        return {}, process, faults
    as_flask_reads = dotenv_values(stream=StringIO(text))
    for name, value in as_flask_reads.items():
        if process.get(name) == value:
            del process[name]
    return read_env_text(text, process), process, []


def _read_secret_files(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """The text of every variable that is set, and the faults of files by the variable's name."""
    raw = {name: given[name] for name in SETTINGS if name in given}
    faults = {}
    for name in SECRETS:
        file_name = f"{name}_FILE"
        if name in raw and file_name in given:
            del raw[name]
            faults[name] = f"{file_name}: must not be set beside {name}; remove one of the two"
        elif file_name in given:
            try:
                raw[name] = _read_line_end_stripped(ROOT / given[file_name])
            except (OSError, ValueError) as error:
                faults[name] = f"{file_name}: must name a readable text file ({_reason(error)})"
    return raw, faults


def _read_line_end_stripped(path: Path) -> str:
    # Newlines are translated on reading, so this is one "\r\n" as well.
    return path.read_text(encoding="utf-8").removesuffix("\n")


def _reason(error: Exception) -> str:
    # The text of other errors quotes what was read.
    return (error.strerror if isinstance(error, OSError) else None) or "not UTF-8"


def _parse(raw: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the values by field, and the faults by variable."""
    values, faults = {}, {}
    for name, text in raw.items():
        try:
            values[name.lower()] = SETTINGS[name](text)
        except ValidationError as error:
            faults[name] = f"{name}: {error.messages[0]}"
    return values, faults


def _defaults() -> dict[str, Any]:
    defaults = {field.name: field.default for field in fields(Settings)}
    # As many workers as cores were measured to serve best.
    defaults["web_concurrency"] = min(count_usable_cores(), _MAX_WORKERS)
    return {name: default for name, default in defaults.items() if default is not MISSING}


def _follow_port(values: dict[str, Any], raw: Mapping[str, str]) -> None:
    """Let `PORT` alone move the issuer and every link, where no address was given."""
    if "PUBLIC_URL" not in raw and "port" in values:
        values["public_url"] = f"http://localhost:{values['port']}"


def _fit_into_session(values: dict[str, Any], raw: Mapping[str, str]) -> list[str]:
    """Fault a lifetime that was said to outlast the session; shorten one that is a mere default."""
    faults = []
    session = values.get("session_ttl")
    for name in ("ACCESS_TOKEN_TTL", "REFRESH_IDLE_TTL"):
        lifetime = values.get(name.lower())
        if session is None or lifetime is None or lifetime <= session:
            continue
        if name in raw:
            faults.append(f"{name}: must not be longer than SESSION_TTL; lower it, or raise that")
        else:
            values[name.lower()] = session
    return faults


def _make_missing(values: dict[str, Any], instance_path: Path) -> None:
    """Add the two settings whose defaults are made, and make the SQLite database's folder."""
    if "secret_key" not in values:
        values["secret_key"] = _own_secret(instance_path)
    values.setdefault("database_url", sqlite_url(instance_path / "authserve.db"))
    if path := find_sqlite_file(values["database_url"]):
        try:
            make_folder(path.parent)
        except OSError as error:
            reason = _reason(error)
            raise SettingsError([f"DATABASE_URL: has no folder to be in ({reason})"]) from None


def _own_secret(instance_path: Path) -> str:
    try:
        make_folder(instance_path)
        return parse_secret(read_or_make_secret(instance_path / "secret_key"))
    except (OSError, UnicodeDecodeError) as error:
        fault = f"SECRET_KEY: cannot be kept in the instance folder ({_reason(error)}); set it"
    except ValidationError as error:
        fault = f"SECRET_KEY: what instance/secret_key holds {error.messages[0]}; delete that file"
    raise SettingsError([fault])
