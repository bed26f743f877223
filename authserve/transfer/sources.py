"""The systems that accounts come from, and the reading of their files.

A source has a conversion of its records to the fields of `rows.FIELDS`. Values are checked later
(`rows.load_row`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import BinaryIO

from authserve.core.frozen import frozen
from authserve.transfer.conversions import (
    Convert,
    FirebaseConfig,
    UserTable,
    convert_csv,
    convert_django,
    convert_firebase,
    convert_keycloak,
    keep_record,
    mark_hmac_first,
    take_auth0_details,
    take_metadata_name,
)
from authserve.transfer.files import (
    Header,
    RawRow,
    TextFile,
    TransferFileError,
    open_text,
    read_csv,
)
from authserve.transfer.json_files import read_array, read_ndjson
from authserve.transfer.rows import FIELDS


@frozen(kw_only=True)
class Source:
    """A format of files.

    Args:
        name: the name on the command line (`--format`).
        convert: converts a record to our fields.
        is_json, is_csv: the kinds of file that the source may have.
        wrapper: the member of the file's JSON object that holds the accounts; empty if the file
            has no such object.
    """

    name: str
    convert: Convert
    is_json: bool = True
    is_csv: bool = True
    wrapper: str = ""


SOURCES: Mapping[str, Source] = {
    source.name: source
    for source in (
        Source(name="authserve", convert=keep_record, is_csv=False),
        Source(name="csv", convert=convert_csv, is_json=False),
        Source(
            name="aspnet",
            convert=UserTable(
                columns={
                    "source_id": "id",
                    "email": "email",
                    "username": "username",
                    "password_hash": "passwordhash",
                    "email_verified": "emailconfirmed",
                },
                inactive_until=("lockoutend", "lockoutenddateutc"),
            ).convert,
        ),
        Source(
            name="auth0",
            convert=UserTable(
                columns={
                    "source_id": "user_id",
                    "email": "email",
                    "username": "username",
                    "display_name": "name",
                    "password_hash": "passwordhash password_hash",
                    "email_verified": "email_verified",
                    "created_at": "created_at",
                    "last_login_at": "last_login",
                },
                adjust=take_auth0_details,
                inactive_if=("blocked",),
            ).convert,
        ),
        Source(name="django", convert=convert_django),
        Source(name="firebase", convert=convert_firebase, is_csv=False, wrapper="users"),
        Source(
            name="flask-security",
            convert=UserTable(
                columns={
                    "source_id": "id",
                    "email": "email",
                    "username": "username",
                    "password_hash": "password",
                    "email_verified": "confirmed_at",
                    "is_active": "active",
                    "created_at": "create_datetime",
                    "last_login_at": "current_login_at last_login_at",
                },
                adjust=mark_hmac_first,
            ).convert,
        ),
        Source(name="keycloak", convert=convert_keycloak, is_csv=False, wrapper="users"),
        Source(
            name="laravel",
            convert=UserTable(
                columns={
                    "source_id": "id",
                    "email": "email",
                    "username": "username",
                    "display_name": "name",
                    "password_hash": "password",
                    "email_verified": "email_verified_at",
                    "created_at": "created_at",
                },
                inactive_if=("deleted_at",),
            ).convert,
        ),
        Source(
            name="supabase",
            convert=UserTable(
                columns={
                    "source_id": "id",
                    "email": "email",
                    "password_hash": "encrypted_password",
                    "email_verified": "email_confirmed_at confirmed_at",
                    "created_at": "created_at",
                    "last_login_at": "last_sign_in_at",
                },
                adjust=take_metadata_name,
                inactive_if=("deleted_at",),
                inactive_until=("banned_until",),
            ).convert,
        ),
        Source(
            name="wordpress",
            convert=UserTable(
                columns={
                    "source_id": "id",
                    "email": "user_email",
                    "username": "user_login",
                    "display_name": "display_name",
                    "password_hash": "user_pass",
                    "created_at": "user_registered",
                }
            ).convert,
        ),
    )
}
"""Every format of `--format`, by name."""


@frozen(kw_only=True)
class ReadOptions:
    """Options of reading a file.

    Args:
        file_format: a key of `SOURCES`.
        fields: for CSV, our fields; columns of these names map themselves.
        columns: for CSV, our field for each of the file's other columns.
        delimiter: for CSV, one character; empty to detect it in the header.
        encoding: the file's encoding; empty to detect it from the first bytes.
        firebase: for Firebase, the project's hash parameters.
    """

    file_format: str = "authserve"
    fields: Sequence[str] = FIELDS
    columns: Mapping[str, str] = field(default_factory=dict)
    delimiter: str = ""
    encoding: str = ""
    firebase: FirebaseConfig | None = None


def read_rows(
    file: BinaryIO, options: ReadOptions, *, on_ignored: Callable[[Sequence[str]], None]
) -> Iterator[RawRow]:
    """Read a file and yield its rows.

    Args:
        on_ignored: called with the columns of a CSV file that are not used, if there are any.

    Raises:
        TransferFileError: the file does not have this format.
    """
    source = SOURCES[options.file_format]
    header = Header(fields=options.fields, columns=options.columns, on_ignored=on_ignored)
    text = open_text(file, options.encoding)
    try:
        for row in _read_records(text, source, header, options.delimiter):
            yield _converted(row, source, options.firebase)
    except UnicodeError as error:
        encoding = text.stream.encoding
        advice = "Name its encoding with --encoding"
        raise TransferFileError(f"the file is not {encoding}", advice=advice) from error
    finally:
        # The caller closes the file.
        text.stream.detach()


def _read_records(
    text: TextFile, source: Source, header: Header, delimiter: str
) -> Iterator[RawRow]:
    first = text.read_first_line()
    mark = first.lstrip()[:1]
    if source.is_csv and not (source.is_json and mark in ("[", "{")):
        # Other sources define their own columns.
        own_header = header if source.name == "csv" else None
        return read_csv(text, first, header=own_header, delimiter=delimiter)
    if mark == "[" or (mark == "{" and source.wrapper):
        return read_array(text, first, wrapper=source.wrapper)
    if mark in ("{", ""):
        return read_ndjson(text, first)
    raise TransferFileError(
        f"line 1 is no JSON object, and {source.name!r} needs JSON",
        advice="For a table, use --format csv",
    )


def _converted(row: RawRow, source: Source, firebase: FirebaseConfig | None) -> RawRow:
    if row.fault is not None:
        return row
    try:
        return replace(row, values=source.convert(row.values, firebase))
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError):
        return replace(row, values=None, fault=f"not a row of {source.name}")
