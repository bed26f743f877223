"""`flask doctor`."""

from dataclasses import asdict

import click
from flask.cli import with_appcontext

from authserve.core.cli import Command, is_json, print_document
from authserve.doctor.service import EffectiveSetting, Finding, Level, effective_settings, examine

MARKS = {Level.OK: "ok     ", Level.WARNING: "warning", Level.FAILURE: "FAILURE"}


@click.command("doctor", cls=Command)
@with_appcontext
def doctor_command() -> None:
    """Check this deployment, and show the settings in force and where each came from.

    No secret is shown, and nothing is changed. The exit status is 1 if something has failed;
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
    if any(finding.level is Level.FAILURE for finding in findings):
        raise SystemExit(1)


def _print_json(findings: list[Finding], settings: list[EffectiveSetting]) -> None:
    document = {
        "findings": [asdict(finding) for finding in findings],
        "settings": [asdict(setting) for setting in settings],
    }
    print_document(document)


def _print_text(findings: list[Finding], settings: list[EffectiveSetting]) -> None:
    for finding in findings:
        click.echo(f"{MARKS[finding.level]}  {finding.check}: {finding.message}")
    click.echo("\nSettings in force:")
    for setting in settings:
        click.echo(f"  {setting.name} = {setting.value}  ({setting.source})")
