"""Moving people in and out."""

from authserve.transfer.service.columns import FirebaseConfig
from authserve.transfer.service.exporting import export_users
from authserve.transfer.service.firebase import parse_firebase_config
from authserve.transfer.service.importing import (
    Candidate,
    ImportOptions,
    Result,
    RowResult,
    import_users,
)
from authserve.transfer.service.reading import ReadOptions, read_rows
from authserve.transfer.service.rows import RawRow
from authserve.transfer.service.sources import SOURCES

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
