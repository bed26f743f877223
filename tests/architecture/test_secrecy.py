"""Objects that hold a secret do not show it when printed (ASVS 16.2.5)."""

import dataclasses
import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

import authserve
from authserve.core.crypto import Keyring
from authserve.database.statements import Base
from authserve.passwords.hasher import PasswordHasher
from authserve.settings.model import Settings
from tests.conftest import CHEAP, make_settings

SECRET = "0123456789-of-all-secrets-the-one-abcdef"

_SECRET_NAME = re.compile(
    r"(?:^|^(?!has_|is_).*_)(?:password|secret|secret_key|private_key|token|hash)$"
)


def dataclasses_of_ours() -> Iterator[type[Any]]:
    for module in pkgutil.walk_packages(authserve.__path__, "authserve."):
        for found in vars(importlib.import_module(module.name)).values():
            is_class = isinstance(found, type) and found.__module__ == module.name
            if is_class and dataclasses.is_dataclass(found):
                yield found


def test_no_dataclass_shows_a_secret() -> None:
    fields = [(kind, field) for kind in dataclasses_of_ours() for field in dataclasses.fields(kind)]
    secrets = [(kind, field) for kind, field in fields if _SECRET_NAME.search(field.name)]
    assert len(secrets) > 5
    shown = [f"{kind.__qualname__}.{field.name}" for kind, field in secrets if field.repr]
    assert shown == []


def test_no_row_shows_its_columns() -> None:
    for mapper in Base.registry.mappers:
        row = mapper.class_()
        for column in mapper.columns:
            if column.type.python_type in (str, bytes):
                setattr(row, column.key, SECRET)
        assert SECRET not in f"{row!r}{row}", mapper.class_


@pytest.mark.parametrize("show", [repr, str], ids=["repr", "str"])
def test_nothing_that_holds_keys_shows_them(show: Any, tmp_path: Any) -> None:
    key = generate_private_key(SECP256R1())
    holders = [
        Keyring([SECRET]),
        PasswordHasher(cost=CHEAP, niceness=0, queue_size=1),
        key,
    ]
    assert all(SECRET not in show(holder) for holder in holders)
    settings: Settings = make_settings(
        f"postgresql://app:{SECRET}@db/auth",
        tmp_path,
        secret_key=SECRET,
        secret_key_fallbacks=(SECRET,),
        mail_url=f"smtp://app:{SECRET}@mail.example.com",
    )
    assert SECRET not in show(settings)
