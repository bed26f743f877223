"""API keys of users, past the call that makes them."""

from datetime import timedelta
from uuid import UUID

from flask import Flask
from sqlalchemy import insert

from authserve.apikeys.models import APIKey
from authserve.core.clock import now
from authserve.core.crypto import digest
from authserve.core.ids import new_id
from authserve.core.key_text import hint_of, new_key_text
from authserve.database.transactions import execute, transaction
from tests.support.secrecy import SECRETS


def give_api_key(app: Flask, user_id: UUID, *scopes: str) -> tuple[str, str]:
    """Give a user a key with the scope `account`, or others; return its id and its text."""
    key, key_id = new_key_text("ask_"), new_id()
    SECRETS.note(key)
    values = {
        "id": key_id,
        "user_id": user_id,
        "name": "Nightly report",
        "digest": digest(key.encode()),
        "hint": hint_of(key),
        "scope": " ".join(scopes or ("account",)),
        "aal": 1,
        "created_at": now(),
        "expires_at": now() + timedelta(days=90),
    }
    with app.app_context(), transaction():
        execute(insert(APIKey), values)
    return str(key_id), key
