"""The commands of API keys, their check, and their part of an account that moves."""

from flask import Flask

from authserve.apikeys.cli import api_keys_group
from authserve.apikeys.policy import MAX_LIVE_KEYS
from authserve.apikeys.records import KeyRecordSchema, read_key_documents, write_key_records
from authserve.features.part import Part
from authserve.health.api_key_checks import check_api_keys
from authserve.health.report import FEATURE_DATA_CHECKS
from authserve.transfer.account_parts import ACCOUNT_PARTS, AccountPart

KEYS_OF_ACCOUNT = AccountPart(
    name="api_keys",
    schema=KeyRecordSchema(),
    read=read_key_documents,
    write=write_key_records,
    max_records=MAX_LIVE_KEYS,
)


def add(app: Flask) -> None:
    """Add `flask api-keys`, the check, and the keys in exports and imports of accounts."""
    app.cli.add_command(api_keys_group)
    FEATURE_DATA_CHECKS.add(app, check_api_keys)
    ACCOUNT_PARTS.add(app, KEYS_OF_ACCOUNT)


PART = Part(add=add)
