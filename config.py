"""The settings, read once from the environment; no other module reads settings from it.

`SETTINGS` assigns a parser to every variable; the defaults are in `Settings`. The functions below
the table handle the rest: files that hold secrets, variables that depend on each other, settings
that production refuses, and files that are created on first use.
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
from authserve.core.languages import LANGUAGE_NAMES
from authserve.settings.branding import (
    logo_file,
    override_folder,
    parse_color,
    parse_page_link,
)
from authserve.settings.database_url import database_url, find_sqlite_file, sqlite_url
from authserve.settings.env_file import find_env_faults, read_env_text
from authserve.settings.factors import (
    derive_factor_settings,
    find_factor_faults,
    parse_passkey_origins,
    parse_rp_id,
    parse_totp_issuer,
    parse_utc_time,
)
from authserve.settings.languages import choose_default_language, parse_languages
from authserve.settings.model import (
    AppEnv,
    EmailVerification,
    LogLevel,
    Mfa,
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
    parse_brand,
    parse_domains,
    parse_features,
    parse_helo,
    parse_key_prefix,
    parse_mailbox,
    parse_on_off,
    parse_optional_line,
    parse_switch,
    parse_text,
    seconds,
    whole,
)
from authserve.settings.production_rules import find_production_faults
from authserve.settings.secret_files import make_folder, read_or_make_secret
from authserve.settings.secrets import parse_bearer_token, parse_secret, parse_secrets
from authserve.settings.urls import (
    find_audience_faults,
    parse_limit_storage_url,
    parse_link,
    parse_mail_url,
    parse_networks,
    parse_origin,
    parse_origins,
    parse_outbound_hosts,
    parse_range_url,
    parse_return_urls,
)

ROOT = Path(__file__).resolve().parent

_TEN_YEARS = 315_360_000
"""In seconds: longer than any session should last, and far inside `datetime`'s range (chosen)."""

_MAX_WORKERS = 64

SETTINGS: Mapping[str, Parser[Any]] = {
    "APP_ENV": choice(get_args(AppEnv)),
    "SECRET_KEY": parse_secret,
    "SECRET_KEY_FALLBACKS": parse_secrets,
    "DATABASE_URL": database_url(ROOT),
    "PUBLIC_URL": parse_origin,
    "FEATURES": parse_features,
    "BRAND_NAME": parse_brand,
    "BRAND_LOGO": logo_file(ROOT),
    "BRAND_COLOR": parse_color,
    "BRAND_TERMS_URL": parse_page_link,
    "BRAND_PRIVACY_URL": parse_page_link,
    "BRAND_SUPPORT_URL": parse_page_link,
    "LANGUAGES": parse_languages,
    "DEFAULT_LANGUAGE": choice(LANGUAGE_NAMES),
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
    "SSO_IDLE_TTL": seconds(60, _TEN_YEARS),
    "SSO_TTL": seconds(60, _TEN_YEARS),
    "EMAIL_VERIFICATION": choice(EmailVerification),
    "MAIL_URL": parse_mail_url,
    "MAIL_FROM": parse_mailbox,
    "MAIL_HELO": parse_helo,
    "MAIL_TEMPLATES": folder(ROOT),
    "VERIFY_URL": parse_link,
    "RESET_URL": parse_link,
    "EMAIL_CHANGE_URL": parse_link,
    "INVITE_URL": parse_link,
    "RETURN_URLS": parse_return_urls,
    "PAGES_TEMPLATES": override_folder(ROOT),
    "PASSWORD_MIN_LENGTH": whole(8, 64),
    "BREACHED_PASSWORDS_URL": parse_range_url,
    "FLASK_SECURITY_SALT": parse_optional_line,
    "MFA": choice(Mfa),
    "MFA_ENROLL_BY": parse_utc_time,
    "MFA_RESET_DELAY": seconds(0, 604_800),
    "PASSKEY_RP_ID": parse_rp_id,
    "PASSKEY_ORIGINS": parse_passkey_origins,
    "TOTP_ISSUER": parse_totp_issuer,
    "EMAIL_SIGN_IN": parse_on_off,
    "API_KEY_PREFIX": parse_key_prefix,
    "RATELIMIT_STORAGE_URL": parse_limit_storage_url,
    "RATELIMIT_ENABLED": parse_switch,
    "TRUSTED_PROXIES": whole(0, 10),
    "DATABASE_POOL_SIZE": whole(1, 100),
    "HASH_NICENESS": whole(0, 19),
    "AUDIT_RETENTION": days(1, 36_500),
    "OUTBOUND_HOSTS": parse_outbound_hosts,
    "FORWARD_AUTH_NETWORKS": parse_networks,
    "CORS_ORIGINS": parse_origins,
    "METRICS_TOKEN": parse_bearer_token,
    "LOG_LEVEL": choice(get_args(LogLevel)),
    "HOST": parse_addresses,
    "PORT": whole(1, 65_535),
    "WEB_CONCURRENCY": whole(1, _MAX_WORKERS),
    "WEB_THREADS": whole(2, 256),
    "DRAIN_SECONDS": whole(0, 300),
}
"""The parser of each variable, in the order of the documentation and of `.env.example`.

- `ACCESS_TOKEN_TTL`: at most an hour, because other services accept a token that long after its
  session has ended. RFC 8725 and 9068 recommend short lifetimes; the default is 10 minutes.
- `REFRESH_REUSE_GRACE`: at most 10 s, in which a refresh token may be used twice (ASVS 10.4.5, and
  Supabase's default).
- `PASSWORD_MIN_LENGTH`: at least 8, and at most the 64 characters that must be accepted (NIST SP
  800-63B-4 §3.1.1.2).
- `MFA_RESET_DELAY`: at most 7 days, because a user without factors waits that long
  (chosen).

The other bounds are chosen to catch typing errors.
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
"""Variables whose value may come from the file that `NAME_FILE` names, for container platforms."""

_FILE_NAMES = frozenset(f"{name}_FILE" for name in SECRETS)


def load_settings(
    environ: Mapping[str, str] | None = None, *, instance_path: Path | None = None
) -> Settings:
    """Read and check every setting.

    Args:
        environ: the variables. If None, `os.environ` and then `.env` in the project's folder.
        instance_path: the folder for files that the service creates: the secret key and the SQLite
            database, if these are not set. If None, `instance` in the project's folder. It is
            created (0700) when it is needed.

    Returns:
        Settings that satisfy every rule of this module.

    Raises:
        SettingsError: lists all faults together; it holds no variable's value.
    """
    file, process, env_faults = _read_environ() if environ is None else ({}, environ, [])
    process = _drop_empty(process)
    given = _drop_empty(file) | process
    raw, unreadable = _read_secret_files(given)
    parsed, unparsable = _parse(raw)
    values = _defaults() | parsed
    # A default must not replace an invalid value: the rules skip variables that have a fault.
    for name in unreadable | unparsable:
        values.pop(name.lower(), None)
    _choose_features(values, raw)
    _derive_public_url(values, raw)
    derive_factor_settings(values, raw)
    faults = [*env_faults, *unreadable.values(), *unparsable.values()]
    faults += _fit_into_session(values, raw)
    faults += find_factor_faults(values)
    faults += choose_default_language(values, raw)
    faults += find_audience_faults(values)
    if values.get("app_env") == "production":
        faults += find_production_faults(values, given)
    if faults:
        raise SettingsError(faults)
    # Files are created only now, so that a refused start leaves none behind.
    instance_path = (instance_path or ROOT / "instance").absolute()
    _make_missing(values, instance_path)
    sources = {name: _find_source(name, file=given, process=process) for name in SETTINGS}
    return Settings(
        **values,
        instance_path=instance_path,
        sources=sources,
        other_names=tuple(sorted(given.keys() - SETTINGS.keys() - _FILE_NAMES)),
    )


def _find_source(name: str, *, file: Mapping[str, str], process: Mapping[str, str]) -> str:
    """Return the source of a variable's value, in words for the operator."""
    file_name = f"{name}_FILE"
    found = next((key for key in (name, file_name) if key in file), None)
    if found is None:
        return "made" if name == "SECRET_KEY" else "default"
    place = "environment" if found in process else ".env"
    return f"the file that {found} names ({place})" if found == file_name else place


def _drop_empty(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without the empty ones: `X=` counts as not set."""
    return {name: value for name, value in variables.items() if value}


def load_settings_or_exit() -> Settings:
    """Read the settings, or write the faults to standard error and exit with status 1."""
    try:
        return load_settings()
    except SettingsError as error:
        sys.exit(str(error))


def _read_environ() -> tuple[dict[str, str], dict[str, str], list[str]]:
    """Return the variables of `.env`, those of the process, and the faults of `.env`.

    The `flask` command adds the variables of `.env` to the process before this call, and expands
    `${NAME}` also in single quotes. So a process variable with that value counts as the file's.
    """
    process = dict(os.environ)
    try:
        text = (ROOT / ".env").read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}, process, []
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError([f".env: cannot be read ({_reason(error)})"]) from None
    if faults := list(find_env_faults(text, SETTINGS)):
        # An invalid line may have been meant to set APP_ENV, so no line of the file is used.
        return {}, process, faults
    as_flask_reads = dotenv_values(stream=StringIO(text))
    for name, value in as_flask_reads.items():
        if process.get(name) == value:
            del process[name]
    return read_env_text(text, process), process, []


def _read_secret_files(given: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the text of every variable that is set, and the faults of files by variable."""
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
    # `read_text` translates newlines, so this removes one "\r\n" as well.
    return path.read_text(encoding="utf-8").removesuffix("\n")


def _reason(error: Exception) -> str:
    # The message of any other error could quote the file's content.
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
    # One worker per core served best (measured).
    defaults["web_concurrency"] = min(count_usable_cores(), _MAX_WORKERS)
    return {name: default for name, default in defaults.items() if default is not MISSING}


def _choose_features(values: dict[str, Any], raw: Mapping[str, str]) -> None:
    """Switch pages on outside production if `FEATURES` is not set, for the first look."""
    if "FEATURES" not in raw and values.get("app_env") != "production":
        values["features"] = ("pages",)


def _derive_public_url(values: dict[str, Any], raw: Mapping[str, str]) -> None:
    """Derive `public_url`, the base of the issuer and links, from `PORT` if it is not set."""
    if "PUBLIC_URL" not in raw and "port" in values:
        values["public_url"] = f"http://localhost:{values['port']}"


def _fit_into_session(values: dict[str, Any], raw: Mapping[str, str]) -> list[str]:
    """Return faults of lifetimes set longer than the session's; shorten longer defaults."""
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
    """Add a missing secret key and database URL, and create the SQLite database's folder."""
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
