"""Creation of accounts from a file: all of them or, if the file has a fault, none."""

from authserve.admin.seed.accounts import (
    DEMO_PASSWORD_PREFIX,
    SeedResult,
    check_account,
    prepare_account,
    seed,
)
from authserve.admin.seed.reading import Row, RowFault, SeedFileError, read_rows

__all__ = [
    "DEMO_PASSWORD_PREFIX",
    "Row",
    "RowFault",
    "SeedFileError",
    "SeedResult",
    "check_account",
    "prepare_account",
    "read_rows",
    "seed",
]
