import re
from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from marshmallow import ValidationError

from authserve.http.pagination import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    MomentPageQuerySchema,
    NamePageQuerySchema,
    PageQuerySchema,
    encode_cursor,
    make_page,
)

FIRST = UUID("01932f5e-7c1a-7d3b-9f3e-3a5b6c7d8e9f")


def load(**query: str) -> dict[str, Any]:
    found: dict[str, Any] = PageQuerySchema().load(query)
    return found


def test_a_page_has_50_items_unless_asked_otherwise() -> None:
    assert load() == {"limit": 50, "cursor": None}
    assert (DEFAULT_LIMIT, MAX_LIMIT) == (50, 200)


@pytest.mark.parametrize("limit", ["1", "200", "0200"])
def test_a_limit_is_between_1_and_200(limit: str) -> None:
    assert load(limit=limit)["limit"] == int(limit)


@pytest.mark.parametrize(
    "limit", ["", "0", "201", "-1", "+5", " 5", "1_0", "5.0", "1e1", "٣", "x", "9" * 4_000]
)
def test_a_limit_beyond_or_in_other_words_is_refused(limit: str) -> None:
    with pytest.raises(ValidationError) as caught:
        load(limit=limit)
    assert list(caught.value.messages_dict) == ["limit"]


def test_a_cursor_leads_to_what_it_was_made_of() -> None:
    assert load(cursor=encode_cursor(FIRST))["cursor"] == FIRST
    named: dict[str, Any] = NamePageQuerySchema().load({"cursor": encode_cursor("helpdesk")})
    assert named["cursor"] == "helpdesk"


GOOD = encode_cursor(FIRST)


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        GOOD[:-1],
        f"{GOOD}=",
        f"{GOOD}==",
        f"{GOOD} ",
        f"{GOOD}A",
        f".{GOOD}",
        GOOD[:-1] + "9",
    ],
)
def test_a_cursor_has_one_spelling(cursor: str) -> None:
    with pytest.raises(ValidationError, match="Not a cursor"):
        load(cursor=cursor)


@pytest.mark.parametrize("cursor", ["", "é", "_w", encode_cursor("a\x00"), "aGVscA==", "a"])
def test_a_cursor_of_names_has_one_spelling(cursor: str) -> None:
    with pytest.raises(ValidationError, match="Not a cursor"):
        NamePageQuerySchema().load({"cursor": cursor})


BEGINNING = datetime.min.replace(tzinfo=UTC)
END = datetime.max.replace(tzinfo=UTC)


def load_moment(cursor: str) -> object:
    query: dict[str, object] = MomentPageQuerySchema().load({"cursor": cursor})
    return query["cursor"]


@pytest.mark.parametrize(
    "moment",
    [BEGINNING, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), END],
    ids=["beginning", "before the epoch", "end"],
)
def test_a_cursor_of_moments_is_exact(moment: datetime) -> None:
    cursor = encode_cursor((moment, FIRST))
    assert load_moment(cursor) == (moment, FIRST)


@pytest.mark.parametrize("moment", [BEGINNING, END])
def test_the_document_allows_every_cursor_of_moments(moment: datetime) -> None:
    pattern = MomentPageQuerySchema().fields["cursor"].metadata["pattern"]
    for number in (0, 2**128 - 1):
        assert re.fullmatch(pattern, encode_cursor((moment, UUID(int=number))))


def test_no_cursor_of_moments_leads_beyond_the_calendar() -> None:
    assert load_moment("_" * 32) == (END, UUID(int=2**128 - 1))
    since_beginning = (END - BEGINNING) // timedelta(microseconds=1)
    later = (since_beginning + 1).to_bytes(8) + FIRST.bytes
    assert load_moment(urlsafe_b64encode(later).decode()) == (END, FIRST)


AT_THE_END = encode_cursor((END, FIRST))


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        # What the lists of releases before this one gave.
        GOOD,
        encode_cursor("n" * 23),
        AT_THE_END[:-1],
        f"{AT_THE_END}A",
        f"{AT_THE_END}=",
        f"{AT_THE_END} ",
        f".{AT_THE_END}",
    ],
)
def test_a_cursor_of_moments_has_one_spelling(cursor: str) -> None:
    with pytest.raises(ValidationError, match="Not a cursor"):
        load_moment(cursor)


def test_lists_by_id_refuse_a_cursor_of_moments() -> None:
    with pytest.raises(ValidationError, match="Not a cursor"):
        load(cursor=AT_THE_END)


def test_a_page_has_a_next_one_only_if_there_is_more() -> None:
    ids = [UUID(int=number) for number in range(4)]
    full = make_page(ids[:3], limit=3, key=lambda item: item)
    assert (full.items, full.next_cursor) == (ids[:3], None)
    more = make_page(ids, limit=3, key=lambda item: item)
    assert (more.items, more.next_cursor) == (ids[:3], encode_cursor(ids[2]))
    none = make_page([], limit=3, key=lambda item: item)
    assert (none.items, none.next_cursor) == ([], None)
