"""The commands of providers, their checks, and their part of an account that moves."""

from flask import Flask

from authserve.features.part import Part

# The modules beside `federation.cli` add their commands to the group.
from authserve.federation import cli_check, cli_transfer  # noqa: F401
from authserve.federation.cli import providers_group
from authserve.federation.identities import MAX_IDENTITIES
from authserve.federation.records import (
    IdentityRecordSchema,
    read_identity_documents,
    write_identity_records,
)
from authserve.health.provider_checks import DATA_CHECKS
from authserve.health.report import FEATURE_DATA_CHECKS
from authserve.transfer.account_parts import ACCOUNT_PARTS, AccountPart

IDENTITIES_OF_ACCOUNT = AccountPart(
    name="identities",
    schema=IdentityRecordSchema(),
    read=read_identity_documents,
    write=write_identity_records,
    max_records=MAX_IDENTITIES,
    is_credential=True,
)


def add(app: Flask) -> None:
    """Add `flask providers`, the checks, and identities in exports and imports of accounts."""
    app.cli.add_command(providers_group)
    FEATURE_DATA_CHECKS.add(app, *DATA_CHECKS)
    ACCOUNT_PARTS.add(app, IDENTITIES_OF_ACCOUNT)


PART = Part(add=add)
