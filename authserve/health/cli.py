"""`flask doctor`, `flask ready` and `flask version`."""

import platform
import time
from dataclasses import asdict
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from importlib.metadata import version
from urllib.parse import urlsplit

import click
from flask.cli import with_appcontext

from authserve.auth.first_administrator import make_first_link
from authserve.core.cli import Command
from authserve.core.cli_output import is_json, print_document, print_hint, print_result
from authserve.core.findings import Finding, has_failure, print_findings
from authserve.health.doctor import examine
from authserve.health.report import EffectiveSetting, effective_settings
from authserve.http.openapi_document import OPENAPI
from authserve.settings.model import SETTINGS, Settings
from authserve.users.lookup import is_any_account


@click.command("doctor", cls=Command)
@with_appcontext
def doctor_command() -> None:
    """Check this deployment, and show the settings in force and the source of each.

    The command shows no secret and changes nothing. The exit status is 1 if a check failed;
    warnings alone leave it at 0.

    \b
    Examples:
      flask doctor
      flask doctor --json
    """
    findings, settings = list(examine()), effective_settings()
    if is_json():
        _print_json(findings, settings)
    else:
        _print_text(findings, settings)
    if has_failure(findings):
        raise SystemExit(1)


def _print_json(findings: list[Finding], settings: list[EffectiveSetting]) -> None:
    document = {
        "findings": [asdict(finding) for finding in findings],
        "settings": [asdict(setting) for setting in settings],
    }
    print_document(document)


def _print_text(findings: list[Finding], settings: list[EffectiveSetting]) -> None:
    print_findings(findings)
    click.echo("\nSettings in force:")
    for setting in settings:
        click.echo(f"  {setting.name} = {setting.value}  ({setting.source})")


@click.command("ready", cls=Command)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0),
    default=60.0,
    show_default=True,
    help="How long to wait, in seconds.",
)
@with_appcontext
def ready_command(timeout: float) -> None:
    """Wait until the service on this machine is ready, then print its URL.

    Outside production, and while there is no account, it also prints a link for the first
    administrator, as `flask users first-link` does.

    \b
    Example:
      flask ready --timeout 30
    """
    settings = SETTINGS.get()
    if not wait_until_ready(settings, timeout_secs=timeout):
        raise click.ClickException(f"The service was not ready within {timeout:g} s.")
    url, mails = settings.public_url, _place_of_mails(settings.mail_url)
    print_result(
        f"authserve answers at {url}, its API is described at {url}/docs, and mails {mails}.",
        url=url,
        docs=f"{url}/docs",
        mails=mails,
    )
    if not is_any_account():
        _print_first_step(settings)


def _print_first_step(settings: Settings) -> None:
    """Print how to make the first administrator; in production, make no link.

    Scripts that deploy run the command, so its output is in logs that many people read. And a new
    link would end the one that the operator has just printed.
    """
    if settings.is_production:
        print_hint("There is no account yet. To make the first administrator, once:")
        print_hint("flask users first-link")
        return
    print_hint("There is no account yet. This link makes the first administrator, once:")
    print_hint(make_first_link())


def _place_of_mails(mail_url: str) -> str:
    parts = urlsplit(mail_url)
    if parts.scheme == "console":
        return "are printed by the worker, here with `make run`"
    return f"are written to {parts.path}" if parts.scheme == "file" else "leave by SMTP"


@click.command("version", cls=Command)
@with_appcontext
def version_command() -> None:
    """Show the versions of authserve, Python and the main libraries.

    \b
    Example:
      flask version
    """
    versions = {
        "authserve": OPENAPI.get().version,
        "Python": platform.python_version(),
        **{name: version(name) for name in ("Flask", "Werkzeug", "gunicorn", "SQLAlchemy")},
    }
    print_result("\n".join(f"{name} {number}" for name, number in versions.items()), **versions)


PAUSE_SECS = 0.2
"""Seconds between two attempts (chosen)."""

ATTEMPT_SECS = 5.0
"""Seconds that one attempt waits for an answer (chosen)."""

EVERY_ADDRESS = frozenset({"", "0.0.0.0", "::"})


def wait_until_ready(settings: Settings, *, timeout_secs: float) -> bool:
    """Return True as soon as `/readyz` answers 200 on this machine, or False after the timeout.

    Args:
        timeout_secs: how long to try, in seconds.
    """
    give_up = time.monotonic() + timeout_secs
    while not _is_ready(settings):
        if time.monotonic() >= give_up:
            return False
        time.sleep(PAUSE_SECS)
    return True


def _is_ready(settings: Settings) -> bool:
    host = next((host for host in settings.host if host not in EVERY_ADDRESS), "localhost")
    connection = HTTPConnection(host, settings.port, timeout=ATTEMPT_SECS)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == HTTPStatus.OK
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()
