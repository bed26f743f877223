"""Moving people in and out."""

from authserve.transfer.service.exporting import export_users
from authserve.transfer.service.importing import Result, RowResult, import_users
from authserve.transfer.service.reading import RawRow, read_rows

__all__ = ["RawRow", "Result", "RowResult", "export_users", "import_users", "read_rows"]
