"""Files of other systems: every kind, encoding and delimiter, row by row."""

import io
import json
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from authserve.transfer import json_files
from authserve.transfer.files import RawRow, TransferFileError
from authserve.transfer.sources import ReadOptions, read_rows


def read(content: bytes, file_format: str = "csv", **options: Any) -> list[RawRow]:
    return list(read_noting(content, file_format, [], **options))


def read_noting(
    content: bytes, file_format: str, ignored: list[Sequence[str]], **options: Any
) -> Iterator[RawRow]:
    chosen = ReadOptions(file_format=file_format, **options)
    return read_rows(io.BytesIO(content), chosen, on_ignored=ignored.append)


def values(rows: list[RawRow]) -> list[Any]:
    return [row.values for row in rows]


ROWS = [{"email": "a@example.com"}, {"email": "b@example.com", "display_name": "Zoë"}]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_json_list_is_read_like_lines(indent: int | None, encoding: str) -> None:
    array = json.dumps(ROWS, indent=indent, ensure_ascii=False).encode(encoding)
    lines = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode(encoding)
    assert values(read(array, "authserve")) == values(read(lines, "authserve")) == ROWS


def test_a_long_list_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_files, "CHUNK_LENGTH", 7)
    rows = [{"email": f"user{n}@example.com", "n": [1.5, n, "]}"]} for n in range(200)]
    found = read(json.dumps(rows, indent=1).encode(), "authserve")
    assert values(found) == rows
    assert [found[1].place, found[1].line, found[199].number] == ["entry 2 (line 10)", 10, 200]


def test_a_list_may_be_a_member_of_an_object() -> None:
    document = {"realm": "x", "clients": [{"users": []}], "users": [{"id": "1", "email": "a@b.c"}]}
    (row,) = read(json.dumps(document).encode(), "keycloak")
    assert row.values["source_id"] == "1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"email": "a"}', "line 1: the file ends too early"),
        (b'[{"email": "a"}\n{"email"', "line 2: no JSON, ',' is needed"),
        (b'[{"email": nope}]', "line 1: no JSON from here on"),
        (b'[\n{"email":\n nope}]', "line 3: no JSON from here on"),
        (b"[\n{},\n]", "line 3: no JSON from here on"),
        (b"[\n{}\n{}]", "line 3: no JSON, ',' is needed"),
        (b"[\n{}]\n[]", "line 3: text follows after the list"),
        (b"[\n{}]\n{}", "line 3: text follows after the list"),
        (b'[\n{"email": "a", "email": "b"}]', "line 2: an object has the same key twice"),
        (b'[{"email": ' + b"9" * 5_000 + b"}]", "line 1: no JSON from here on"),
        (b"[" * 100_000, "nested too deeply"),
        (b"email\na@example.com\n", "line 1 is no JSON object"),
    ],
)
def test_a_file_that_is_no_json_is_named(content: bytes, message: str) -> None:
    with pytest.raises(TransferFileError, match=message):
        read(content, "authserve")


def test_a_line_with_the_same_key_twice_is_refused_alone() -> None:
    first, second = read(b'{"email": "a", "email": "b"}\n{"email": "c"}\n', "authserve")
    assert (first.values, first.fault) == (None, "an object has the same key twice")
    assert second.values == {"email": "c"}


def test_text_may_follow_a_list_that_is_a_member() -> None:
    (row,) = read(b'{"users": [{"id": "1"}], "roles": []}', "keycloak")
    assert row.values["source_id"] == "1"


def test_a_row_of_csv_is_named_by_its_first_line() -> None:
    first, second = read(b'email,display_name\na@b.c,"two\nlines"\n\nd@e.f,\n')
    assert [(row.number, row.line, row.place) for row in (first, second)] == [
        (1, 2, "line 2"),
        (2, 5, "line 5"),
    ]


def test_an_object_without_accounts_is_named() -> None:
    with pytest.raises(TransferFileError, match="no list 'users'"):
        read(b'{"realm": "x"}', "keycloak")


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(delimiter: str) -> None:
    text = f'"a,b;c"{delimiter}email{delimiter}username\n1{delimiter}a@example.com{delimiter}ann\n'
    assert values(read(text.encode())) == [{"email": "a@example.com", "username": "ann"}]


def test_the_delimiter_may_be_named() -> None:
    assert values(read(b"email:username\na@example.com:ann\n", delimiter=":")) == [
        {"email": "a@example.com", "username": "ann"}
    ]
    assert values(read(b"sep=:\r\nemail:username\r\na@example.com:ann\r\n")) == [
        {"email": "a@example.com", "username": "ann"}
    ]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_csv_has_any_unicode_encoding(encoding: str) -> None:
    text = "email,display_name\r\na@example.com,Zoë\r\n"
    assert values(read(text.encode(encoding)))[0]["display_name"] == "Zoë"


def test_a_mark_is_no_part_of_the_first_column() -> None:
    content = "\ufeffemail\na@example.com\n".encode("utf-16-le")
    assert values(read(content, encoding="utf-16-le")) == [{"email": "a@example.com"}]


def test_another_encoding_is_named_and_then_read() -> None:
    content = "email,display_name\na@example.com,Zoë\nb@example.com,Ben\n".encode("cp1252")
    first, second = read(content)
    assert first.fault is not None
    assert "--encoding windows-1252" in first.fault
    assert second.values == {"email": "b@example.com", "display_name": "Ben"}
    assert values(read(content, encoding="cp1252"))[0]["display_name"] == "Zoë"


@pytest.mark.parametrize("content", [b'{"email": "\xeb"}\n', b'[{"email": "\xeb"}]'])
def test_json_of_another_encoding_is_named(content: bytes) -> None:
    (row,) = read(content, "authserve")
    assert row.fault is not None
    assert "--encoding" in row.fault


def test_a_file_of_half_an_encoding_is_named() -> None:
    with pytest.raises(TransferFileError, match="is not utf-16"):
        read("email\na@example.com\n".encode("utf-16")[:-1] + b"\xd8", encoding="utf-16")


def test_columns_of_our_names_map_themselves_and_others_are_named() -> None:
    ignored: list[Sequence[str]] = []
    content = b"Email,Display Name,mail,age\na@example.com,Ann,x@example.com,7\n"
    rows = list(read_noting(content, "csv", ignored))
    assert values(rows) == [{"email": "a@example.com", "display_name": "Ann"}]
    assert ignored == [["mail", "age"]]

    (row,) = list(read_noting(content, "csv", ignored, columns={"mail": "email"}))
    assert row.values["email"] == "x@example.com"


def test_empty_cells_mean_nothing() -> None:
    content = b"email,username,display_name,roles\na@example.com,NULL,\\N,\nb@example.com,,,a b\n"
    assert values(read(content)) == [
        {"email": "a@example.com"},
        {"email": "b@example.com", "roles": ["a", "b"]},
    ]


def test_a_row_of_too_many_cells_is_refused_alone() -> None:
    first, second = read(b"email\na@example.com,b\nc@example.com\n")
    assert first.fault == "more values than columns"
    assert second.values == {"email": "c@example.com"}


def test_two_columns_for_one_field_are_refused() -> None:
    with pytest.raises(TransferFileError, match="two columns for email"):
        read(b"a,b\n1,2\n", columns={"a": "email", "b": "email"})
