from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from marshmallow import ValidationError

from authserve.http.fields import (
    DisplayName,
    EmailAddress,
    MomentInput,
    Password,
    StrictBoolean,
    StrictUUID,
    Username,
)
from authserve.http.schemas import StrictSchema

NOT_TEXT = [None, 5, 1.5, True, [], {}, ["alice@example.com"]]


class InputSchema(StrictSchema):
    email = EmailAddress()
    username = Username()
    display_name = DisplayName()
    password = Password()
    moment = MomentInput()
    flag = StrictBoolean()
    id = StrictUUID()


def load(field: str, value: Any) -> Any:
    return InputSchema().load({field: value})[field]


@pytest.mark.parametrize("field", ["email", "username", "display_name", "password"])
@pytest.mark.parametrize("value", NOT_TEXT)
def test_it_takes_nothing_but_text(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        load(field, value)


@pytest.mark.parametrize(
    ("field", "given", "stored"),
    [
        ("email", " ALICE@Example.COM ", "alice@example.com"),
        ("email", "alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("username", "Alice.L", "alice.l"),
        ("display_name", "  Alice  ", "Alice"),
        ("display_name", "Ame\u0301lie", "Am\u00e9lie"),
        ("password", "  Ame\u0301lie  ", "  Am\u00e9lie  "),
        ("flag", False, False),
    ],
)
def test_it_yields_the_stored_form(field: str, given: Any, stored: Any) -> None:
    assert load(field, given) == stored


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("email", ""),
        ("email", "alice"),
        ("email", "alice@localhost"),
        ("email", "alice@[127.0.0.1]"),
        ("email", "a" * 300 + "@example.com"),
        ("email", "a@" + "b" * 60_000),
        ("username", "al"),
        ("username", "alice@example.com"),
        ("username", "\u212aelvin"),  # The Kelvin sign, which would lower-case into a "k".
        ("display_name", "   "),
        ("display_name", "x" * 101),
        ("display_name", "a\u202eb"),
        ("password", ""),
        ("password", "x" * 257),
        ("password", "\u0301\u0323" * 16_000),  # Normalising these would take seconds.
        ("flag", "true"),
        ("flag", 1),
        ("flag", None),
    ],
)
def test_it_refuses_what_could_not_be_stored(field: str, value: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        load(field, value)
    assert list(caught.value.messages_dict) == [field]


def test_a_password_has_up_to_256_code_points() -> None:
    assert load("password", "é" * 256) == "é" * 256
    # Two code points each as sent, and one as stored.
    assert load("password", "e\u0301" * 256) == "é" * 256


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("2030-01-02T03:04:05Z", datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2030-01-02T03:04:05.678+02:00", datetime(2030, 1, 2, 1, 4, 5, 678_000, tzinfo=UTC)),
        ("2030-01-02t03:04:05.123456789z", datetime(2030, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)),
    ],
)
def test_a_moment_is_read_with_its_offset(written: str, meant: datetime) -> None:
    assert load("moment", written) == meant


@pytest.mark.parametrize("written", ["2030-01-02T03:04:05", "yesterday", "", 5, None, "2030-13-01"])
def test_a_moment_without_an_offset_is_none(written: Any) -> None:
    with pytest.raises(ValidationError):
        load("moment", written)


@pytest.mark.parametrize(
    "written",
    [
        "2030-W01-3T03:04:05Z",
        "20300102T030405Z",
        "2030-01-02 03:04:05Z",
        "2030-01-02T03:04Z",
        "2030-01-02T03:04:05,5Z",
        "2030-01-02T03:04:05+02",
        "2030-01-02T03:04:05Z ",
    ],
)
def test_a_moment_has_no_other_form_than_its_rfcs(written: str) -> None:
    with pytest.raises(ValidationError):
        load("moment", written)


@pytest.mark.parametrize(
    "written", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z"]
)
def test_a_moment_at_the_end_of_time_does_not_fail(written: str) -> None:
    assert load("moment", written).tzinfo is UTC


ID = "01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f"


def test_an_id_has_one_spelling_in_either_letter_case() -> None:
    assert load("id", ID) == load("id", ID.upper()) == UUID(ID)


@pytest.mark.parametrize(
    "value",
    [
        *NOT_TEXT,
        "",
        f"{{{ID}}}",
        f"urn:uuid:{ID}",
        ID.replace("-", ""),
        f"{ID}\n",
        f" {ID}",
        ID[:-1],
        ID.replace("0", "٠"),
    ],
)
def test_an_id_has_no_other(value: Any) -> None:
    with pytest.raises(ValidationError):
        load("id", value)
