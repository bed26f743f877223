"""Moving people in and out."""

from authserve.transfer.service.exporting import export_users
from authserve.transfer.service.importing import (
    Candidate,
    ImportOptions,
    Result,
    RowResult,
    import_users,
)
from authserve.transfer.service.reading import ReadOptions, read_rows
from authserve.transfer.service.rows import RawRow
from authserve.transfer.service.sources import SOURCES, FirebaseConfig, parse_firebase_config

__all__ = [
    "SOURCES",
    "Candidate",
    "FirebaseConfig",
    "ImportOptions",
    "RawRow",
    "ReadOptions",
    "Result",
    "RowResult",
    "export_users",
    "import_users",
    "parse_firebase_config",
    "read_rows",
]
