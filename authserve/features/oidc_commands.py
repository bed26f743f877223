"""The commands of the identity provider, its checks, and what `flask worker` does for it."""

from flask import Flask

# Each module beside `clients.cli` adds its commands to the group.
from authserve.clients import cli_create, cli_status, cli_transfer  # noqa: F401
from authserve.clients.cli import clients_group
from authserve.features.part import Part
from authserve.health.client_checks import DATA_CHECKS, check_issuer
from authserve.health.report import FEATURE_CHECKS, FEATURE_DATA_CHECKS
from authserve.oidc import cli  # noqa: F401
from authserve.oidc.backchannel import HANDLERS, LOGOUT_SENDER, LogoutSender
from authserve.oidc.codes import purge_dead_codes
from authserve.outbox.worker import MESSAGE_HANDLERS, PURGE_TASKS
from authserve.settings.model import SETTINGS


def add(app: Flask) -> None:
    """Add `flask clients`, the checks, the delivery of logout tokens, and the purge of codes."""
    app.cli.add_command(clients_group)
    FEATURE_CHECKS.add(app, check_issuer)
    FEATURE_DATA_CHECKS.add(app, *DATA_CHECKS)
    LOGOUT_SENDER.fill(app, LogoutSender(SETTINGS.of(app).outbound_hosts))
    MESSAGE_HANDLERS.add(app, *HANDLERS.items())
    PURGE_TASKS.add(app, purge_dead_codes)


PART = Part(add=add)
