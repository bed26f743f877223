"""Finding accounts by the beginning of an address, username or name."""

import re
from datetime import timedelta
from itertools import count
from uuid import UUID

import pytest
from sqlalchemy import text

from authserve.database.transactions import db, transaction
from authserve.users import search
from authserve.users.accounts import NewUser, add_user
from authserve.users.lists import UserFilters
from authserve.users.models import User
from authserve.users.search import Match, find_by_beginning
from tests.support.databases import executed
from tests.support.marks import both_databases, on_sqlite

pytestmark = [both_databases, pytest.mark.usefixtures("context")]

MUNICH = "xn--mnchen-3ya"
"""münchen in IDNA's ASCII."""


def add(email: str, username: str | None = None, display_name: str | None = None) -> User:
    with transaction():
        return add_user(NewUser(email=email, username=username, display_name=display_name))


def found(beginning: str, *, limit: int = 50) -> list[str]:
    return [user.email for user in find_by_beginning(beginning, UserFilters(), limit=limit).users]


def all_pages(beginning: str, *, limit: int) -> list[str]:
    """The addresses of all pages."""
    read: list[str] = []
    after: Match | None = None
    for _ in count():
        page = find_by_beginning(beginning, UserFilters(), limit=limit, after=after)
        assert len(page.users) <= limit
        read += [user.email for user in page.users]
        after = page.last
        if after is None:
            return read
    raise AssertionError


def test_it_finds_by_each_of_three_texts_in_their_order() -> None:
    add("carol@example.com", "carol", "Annette")
    add("ann@example.com", "zoe", "Zoe")
    add("bob@example.com", "anna")
    add("dora@example.com", "dora")
    assert found("ANN") == ["ann@example.com", "bob@example.com", "carol@example.com"]
    assert found("anna") == ["bob@example.com"]
    assert found("ann@") == ["ann@example.com"]
    assert found("unknown") == []


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_every_account_comes_once_however_many_of_its_texts_fit(limit: int) -> None:
    for number in range(10):
        # The name comes long before the other two, and of some, all three are alike.
        name = f"a{number}" if number % 2 else f"{'az'[number % 4 // 2]}{number}"
        add(f"a{number}@example.com", f"a{number}-x", name)
    for number in range(3):
        add(f"b{number}@example.com", None, "same name")
    read = all_pages("a", limit=limit)
    assert sorted(read) == sorted(f"a{number}@example.com" for number in range(10))
    assert len(read) == len(set(read))
    same = all_pages("same", limit=limit)
    assert same == [f"b{number}@example.com" for number in range(3)]


def test_a_page_of_repetitions_alone_ends_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "MAX_ROUNDS", 2)
    for number in range(20):
        add(f"user{number:02}@example.com", f"user{number:02}", f"user {number:02}")
    sizes: list[int] = []
    after: Match | None = None
    while not sizes or after is not None:
        page = find_by_beginning("user", UserFilters(), limit=2, after=after)
        sizes.append(len(page.users))
        after = page.last
    # First all by their names; what is left are the usernames and addresses of the same accounts.
    assert sizes[:10] == [2] * 10
    assert len(sizes) > 12
    assert set(sizes[10:]) == {0}


@pytest.mark.parametrize(
    "beginning",
    [
        "jürgen@münchen.example",
        "Jürgen@MÜNCHEN.example",
        f"jürgen@{MUNICH}.example",
        f"jürgen@{MUNICH}",
        "jürgen@münchen",
        "jürgen@mün",
        "jürgen@m",
        "jürgen@",
        "jürgen@xn--m",
        "ju\u0308rgen@mu\u0308n",
        " jürgen@münchen.ex ",
    ],
)
def test_a_domain_can_be_in_unicode_or_punycode_and_unfinished(beginning: str) -> None:
    add(f"jürgen@{MUNICH}.example")
    add("jürgen@example.com")
    assert f"jürgen@{MUNICH}.example" in found(beginning)
    assert ("jürgen@example.com" in found(beginning)) is (beginning == "jürgen@")


@pytest.mark.parametrize("beginning", ["jürgen@münd", "jürgen@nchen", "jürgen@xn--mü", "x@@", "@"])
def test_what_no_address_begins_with_finds_nothing(beginning: str) -> None:
    add(f"jürgen@{MUNICH}.example")
    assert found(beginning) == []


def test_an_address_of_full_length_is_found() -> None:
    email = f"{'x' * 64}@{'y' * 63}.{'y' * 63}.{'y' * 57}.com"
    assert len(email) == 254
    add(email)
    assert found(email) == [email]


def test_filters_narrow_a_search() -> None:
    add("ann1@example.com")
    second = add("ann2@example.com")
    with transaction() as session:
        session.execute(text("UPDATE users SET is_active = (email <> 'ann1@example.com')"))
    page = find_by_beginning("ann", UserFilters(is_active=True), limit=10)
    assert [user.id for user in page.users] == [second.id]


@on_sqlite
def test_sqlite_begins_with_a_time_that_few_accounts_have(context: None) -> None:
    ann = add("ann@example.com")
    filters = UserFilters(created_after=ann.created_at - timedelta(seconds=1))
    with executed(db.engine) as sent:
        page = find_by_beginning("ann", filters, limit=50)
    assert [user.id for user in page.users] == [ann.id]
    (statement,) = [sql for sql, _ in sent if "UNION" in sql]
    assert "users.created_at >" in statement
    assert "(+ users.email) >=" in statement


@on_sqlite
@pytest.mark.parametrize("after", [None, ("user1", 1, UUID(int=1))])
@pytest.mark.parametrize("filters", [UserFilters(), UserFilters(is_active=True)])
def test_sqlite_begins_in_each_index_where_the_page_does(
    filters: UserFilters, after: Match | None
) -> None:
    with executed(db.engine) as sent:
        find_by_beginning("user", filters, limit=50, after=after)
    statement, values = sent[0]
    with transaction() as session:
        rows = session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        plan = [row[3] for row in rows]
    searches = [line.partition("USING INDEX ")[2] for line in plan if "users USING" in line]
    assert [re.sub(r"autoindex_users_\d", "unique", line) for line in searches] == [
        "ix_users_name_key_id (name_key>? AND name_key<?)",
        "sqlite_unique (username>? AND username<?)",
        "sqlite_unique (email>? AND email<?)",
    ]
    assert not [line for line in plan if "TEMP B-TREE" in line]
