"""Checks of the settings, the server, and the services that mail and passwords need."""

from collections.abc import Iterator
from difflib import get_close_matches
from urllib.parse import urlsplit

from authserve.core.cpu_quota import count_usable_cores, find_cpu_quota
from authserve.core.findings import Finding, Level
from authserve.core.gunicorn_version import GUNICORN_VERSION, find_other_gunicorn
from authserve.mail.errors import TransportError
from authserve.mail.mailer import MAILER
from authserve.passwords.breached import BREACHED_PASSWORDS, RangeServiceError
from authserve.ratelimit.counters import LIMIT_COUNTERS
from authserve.settings.model import Settings
from authserve.settings.urls import is_limit_storage_exposed

_NEARNESS = 0.85
"""Ratio of difflib from which on a name counts as mistyped (chosen): one wrong letter in eight."""

_OTHERS_NAMES = frozenset({"LANGUAGE"})
"""Names near a setting's that mean something to other programs: gettext reads this one."""


def check_secret(settings: Settings) -> Finding:
    """Report where `SECRET_KEY` comes from; the settings have refused a weak one."""
    name = "secret"
    if settings.is_production:
        return Finding(name, Level.OK, "SECRET_KEY is set and strong.")
    source = settings.sources.get("SECRET_KEY")
    if source == "made":
        return Finding(name, Level.OK, "SECRET_KEY was made in the instance folder.")
    return Finding(name, Level.OK, f"SECRET_KEY comes from {source}.")


def check_names(settings: Settings) -> Finding:
    """Warn of variables whose name is nearly a setting's: such a one has no effect."""
    mistyped = [
        f"{name} (did you mean {near[0]}?)"
        for name in settings.other_names
        if name not in _OTHERS_NAMES
        and (near := get_close_matches(name.removesuffix("_FILE"), settings.sources, 1, _NEARNESS))
    ]
    if mistyped:
        message = f"These variables have no effect: {', '.join(mistyped)}"
        return Finding("names", Level.WARNING, message)
    return Finding("names", Level.OK, "No variable looks like a mistyped setting.")


def check_addresses(settings: Settings) -> Iterator[Finding]:
    """Compare `PUBLIC_URL` with `TRUSTED_PROXIES`, and require https in production."""
    is_https = settings.public_url.startswith("https:")
    if is_https and settings.trusted_proxies == 0:
        yield Finding(
            "proxies",
            Level.WARNING,
            "PUBLIC_URL is https, which this service does not speak itself, yet TRUSTED_PROXIES is "
            "0: every client will seem to come from the proxy. Set the number of proxies.",
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
        yield Finding("proxies", Level.OK, f"Trusted proxies: {count}.")
    yield Finding(
        "tls",
        Level.OK if is_https or not settings.is_production else Level.FAILURE,
        f"Links and the issuer begin with {settings.public_url}. No call of the API sets a cookie.",
    )


def check_origins(settings: Settings) -> Finding:
    """Warn of link pages that no origin of `CORS_ORIGINS` serves, so they may not call."""
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
    return Finding(name, Level.OK, f"Origins whose pages may call: {len(allowed)}.")


def check_outbound_hosts(settings: Settings) -> Finding:
    """Warn of networks in `OUTBOUND_HOSTS` that are wider than an organisation's own."""
    name, hosts = "outbound hosts", settings.outbound_hosts
    wide = [str(network) for network in hosts.networks if not network.is_private]
    if wide:
        message = (
            f"OUTBOUND_HOSTS has networks that are not private: {', '.join(wide)}. By https, "
            "public addresses may be called anyway. List the hosts that need http."
        )
        return Finding(name, Level.WARNING, message)
    message = str(hosts) or "no host"
    return Finding(name, Level.OK, f"Beside public addresses, apps may be called at: {message}.")


def _origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def check_limits(settings: Settings) -> Finding:
    """Report if the ordinary limits are on, and the storage that counts them."""
    name = "limits"
    if not settings.ratelimit_enabled:
        message = "RATELIMIT_ENABLED is false: only wrong passwords are limited."
        return Finding(name, Level.WARNING, message)
    if settings.ratelimit_storage_url == "database:":
        return Finding(name, Level.OK, "Limits are on, and counted in the database.")
    fault = LIMIT_COUNTERS.get().find_fault()
    if fault is not None:
        message = (
            f"Redis does not count ({fault}), so limits are off. Check RATELIMIT_STORAGE_URL and "
            "the server."
        )
        return Finding(name, Level.WARNING, message)
    if is_limit_storage_exposed(settings.ratelimit_storage_url):
        message = "Limits are on, and counted in Redis elsewhere without TLS: use rediss://."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "Limits are on, and counted in Redis.")


def check_gunicorn() -> Finding:
    """Warn if gunicorn's version is not the one that the service's worker is made for."""
    other = find_other_gunicorn()
    if other is None:
        return Finding("gunicorn", Level.OK, f"gunicorn is {GUNICORN_VERSION}, as expected.")
    message = (
        f"gunicorn is {other}, not {GUNICORN_VERSION}: its own worker runs, so slow clients hold "
        "threads, and DRAIN_SECONDS has no effect. Install requirements.txt."
    )
    return Finding("gunicorn", Level.WARNING, message)


def check_cores(settings: Settings) -> Finding:
    """Warn if there are more server processes than usable cores."""
    name = "cores"
    cores, wanted = count_usable_cores(), settings.web_concurrency
    quota = find_cpu_quota()
    limit = "" if quota is None else f" (its CPU quota is {quota:g})"
    message = f"WEB_CONCURRENCY is {wanted}; this machine lets it use {cores} cores{limit}."
    if wanted > cores:
        return Finding(name, Level.WARNING, f"{message} Lower it, or raise the quota.")
    return Finding(name, Level.OK, message)


def check_mail(settings: Settings) -> Finding:
    """Check that mail can leave, by a connection to the mail server but without a mail."""
    scheme = urlsplit(settings.mail_url).scheme
    try:
        MAILER.get().check()
    except TransportError as error:
        message = f"Mail cannot leave: {error.reason}. Check MAIL_URL and the mail server."
        return Finding("mail", Level.FAILURE, message)
    if scheme == "console":
        return Finding("mail", Level.WARNING, "Mail goes to the log: no recipient gets it.")
    return Finding("mail", Level.OK, f"Mail can leave by {scheme}.")


def check_mail_templates() -> Finding:
    """Check that every mail can be built from its templates."""
    name = "mail templates"
    faults = list(MAILER.get().find_template_faults())
    if faults:
        message = f"These mails cannot be built: {'; '.join(faults)}. Check MAIL_TEMPLATES."
        return Finding(name, Level.FAILURE, message)
    return Finding(name, Level.OK, "Every mail can be built.")


def check_breached_passwords(settings: Settings) -> Finding:
    """Check that the range service answers, and that it knows the most common password."""
    name = "breached passwords"
    if not settings.breached_passwords_url:
        return Finding(name, Level.OK, "BREACHED_PASSWORDS_URL is empty: none is looked up.")
    try:
        knows_passwords = BREACHED_PASSWORDS.get().check()
    except RangeServiceError as error:
        message = f"New passwords are not looked up: {error.reason}. Check BREACHED_PASSWORDS_URL."
        return Finding(name, Level.FAILURE, message)
    if not knows_passwords:
        message = "The service answers, but it does not even know the most common password."
        return Finding(name, Level.WARNING, message)
    return Finding(name, Level.OK, "The service answers.")
