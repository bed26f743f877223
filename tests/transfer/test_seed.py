"""`flask users seed`: all of a file or nothing."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

import config
from authserve.transfer.files import RawRow, TransferFileError
from authserve.transfer.rows import Candidate
from authserve.transfer.seed import SeedResult, read_seed_file, seed_users
from authserve.users.account_input import DEMO_PASSWORD_PREFIX
from authserve.users.bulk import ImportedUser
from authserve.users.errors import EmailTakenError
from tests.support.audit import all_events
from tests.support.clients import PASSWORD, login
from tests.support.marks import both_databases
from tests.support.people import make_user

EXAMPLES = config.ROOT / "docs" / "examples"

Seed = Callable[..., Result]


@pytest.fixture
def seed_text(runner: FlaskCliRunner, tmp_path: Path) -> Seed:
    """Seeds from a file that holds the given text."""

    def invoke(text: str | bytes, *, name: str = "users.json") -> Result:
        path = tmp_path / name
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return runner.invoke(args=["users", "seed", str(path)])

    return invoke


@pytest.fixture
def seed_rows(seed_text: Seed) -> Seed:
    """Seeds from a JSON file with one of the given accounts a line, the first on line 2."""

    def invoke(*rows: object) -> Result:
        return seed_text("[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")

    return invoke


def users(runner: FlaskCliRunner) -> list[dict[str, Any]]:
    result = runner.invoke(args=["users", "list", "--json"])
    return [json.loads(line) for line in result.stdout.splitlines()]


def assert_refused(result: Result, *faults: str) -> None:
    assert (result.exit_code, result.stdout) == (1, "")
    told = [line for line in result.stderr.splitlines() if line != "Hashing passwords"]
    assert told == ["Error: Nothing was written.", *faults]


# Accepted files


@pytest.mark.parametrize("name", ["users.json", "users.csv"])
def test_the_example_seeds_a_database_once(app: Flask, runner: FlaskCliRunner, name: str) -> None:
    first = runner.invoke(args=["users", "seed", str(EXAMPLES / name)])
    assert (first.exit_code, first.stdout) == (0, "8 made, 0 there already.\n"), first.output
    found = users(runner)
    assert [user["email"] for user in found if "admin" in user["roles"]] == [
        "amara.okafor@example.com"
    ]
    assert all(user["email_verified"] and "user" in user["roles"] for user in found)

    again = runner.invoke(args=["users", "seed", str(EXAMPLES / name)])
    assert (again.exit_code, again.stdout) == (0, "0 made, 8 there already.\n")
    assert users(runner) == found


def test_both_examples_hold_the_same() -> None:
    in_json = json.loads((EXAMPLES / "users.json").read_text(encoding="utf-8"))
    with (EXAMPLES / "users.csv").open(encoding="utf-8", newline="") as file:
        in_csv = [
            {name: text for name, text in row.items() if text} for row in csv.DictReader(file)
        ]
    for row in in_json:
        if "roles" in row:
            row["roles"] = " ".join(row["roles"])
    assert in_json == in_csv


def test_the_accounts_of_the_example_can_sign_in(app: Flask, runner: FlaskCliRunner) -> None:
    runner.invoke(args=["users", "seed", str(EXAMPLES / "users.json")])
    rows = [row for row in json.loads((EXAMPLES / "users.json").read_text()) if "password" in row]
    assert len(rows) == 7
    for row in rows:
        assert row["password"].startswith(DEMO_PASSWORD_PREFIX)
        assert login(app.test_client(), row["email"], row["password"]).status_code == 200


@both_databases
def test_a_second_run_adds_what_is_new_and_leaves_the_rest(
    app: Flask, runner: FlaskCliRunner, seed_rows: Seed
) -> None:
    alice = {"email": "alice@example.com", "username": "alice", "password": PASSWORD}
    assert seed_rows(alice).stdout == "1 made, 0 there already.\n"
    changed = {**alice, "display_name": "Changed", "roles": ["admin"]}
    result = seed_rows(changed, {"email": "bob@example.com"})
    assert result.stdout == "1 made, 1 there already.\n"
    assert [(user["email"], user["display_name"], user["roles"]) for user in users(runner)] == [
        ("alice@example.com", None, ["user"]),
        ("bob@example.com", None, ["user"]),
    ]


def test_an_empty_list_creates_no_account(seed_text: Seed) -> None:
    for text, name in (("[]", "a.json"), (" [ ]\n", "b.json"), ("email\n", "c.csv")):
        assert seed_text(text, name=name).stdout == "0 made, 0 there already.\n"


WRITTEN_BY_EDITORS = [
    ("a.json", '\ufeff[{"email": "zoe@example.com", "display_name": "Zoé"}]'),
    ("b.JSON", '[{"email":"zoe@example.com","display_name":"Zo\\u00e9","username":null}]'),
    ("c.csv", "\ufeffemail,display_name\r\nzoe@example.com,Zoé\r\n"),
    ("d.csv", 'display_name,"email"\n"Zoé",zoe@example.com'),
    ("e.csv", "email,display_name,roles\n\n ZOE@example.com , Zoe\u0301 ,\n\n"),
]


def test_it_reads_what_editors_write(runner: FlaskCliRunner, seed_text: Seed) -> None:
    made = 1
    for name, text in WRITTEN_BY_EDITORS:
        result = seed_text(text, name=name)
        assert result.stdout == f"{made} made, {1 - made} there already.\n", text
        made = 0
    (user,) = users(runner)
    assert (user["email"], user["display_name"]) == ("zoe@example.com", "Zoé")


@pytest.mark.parametrize(("name", "text"), WRITTEN_BY_EDITORS)
def test_the_same_is_meant_however_it_is_written(tmp_path: Path, name: str, text: str) -> None:
    (row,) = read(tmp_path, text, name=name)
    assert set(row.values) - {"username"} == {"email", "display_name"}


def read(folder: Path, text: str | bytes, *, name: str = "users.json") -> list[RawRow]:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_seed_file(path)


def row(line: int, **values: object) -> RawRow:
    return RawRow(number=line, line=line, place=f"line {line}", position=0, values=values)


@pytest.mark.parametrize("roles", ["admin user", "admin,user", "admin; user", " admin  user "])
def test_roles_of_a_csv_are_separated_as_people_do(tmp_path: Path, roles: str) -> None:
    (row,) = read(tmp_path, f'email,roles\na@example.com,"{roles}"\n', name="a.csv")
    assert row.values["roles"] == ["admin", "user"]


def test_each_account_is_audited(seed_rows: Seed, context: None) -> None:
    seed_rows({"email": "alice@example.com"}, {"email": "bob@example.com", "roles": ["admin"]})
    events = all_events()
    assert [(event.action, event.user_agent) for event in events] == [
        ("user.created", "flask users seed")
    ] * 2
    assert [event.details for event in events] == [
        {"roles": ["user"]},
        {"roles": ["admin", "user"]},
    ]


def test_progress_is_reported_for_each_password(context: None) -> None:
    rows = [row(line, email=f"user{line}@example.com") for line in range(1, 4)]
    told: list[None] = []
    assert seed_users(rows, on_progress=lambda: told.append(None)) == SeedResult(
        created=3, existing=0
    )
    assert len(told) == 3


def test_the_text_of_a_candidate_has_no_password() -> None:
    """An error report may quote it."""
    values = {"email": "ann@example.com", "password": PASSWORD}
    user = ImportedUser(email="ann@example.com", password_hash="$a hash")
    text = repr(Candidate(row=row(1, **values), user=user, password=PASSWORD))
    assert "ann@example.com" in text
    assert (PASSWORD in text, "$a hash" in text) == (False, False)


# Refused files: all faults at once, with nothing written

NOT_AN_ADDRESS = "email: Not a valid email address."


@both_databases
def test_it_reports_the_faults_of_all_rows_by_line_and_writes_none(
    runner: FlaskCliRunner, seed_rows: Seed
) -> None:
    result = seed_rows(
        {"email": "good@example.com", "password": PASSWORD},
        {"email": "bad", "username": "b"},
        {"email": "weak@example.com", "password": "short"},
        {"email": "king@example.com", "roles": ["king", "user", "queen"]},
        {"username": "unknown"},
    )
    assert_refused(
        result,
        f"entry 2 (line 3): {NOT_AN_ADDRESS}; username: 3 to 32 letters, digits, dots, hyphens or "
        "underscores, with a letter or digit at both ends.",
        "entry 3 (line 4): password: Use at least 8 characters. Below 15 characters, use an "
        "upper-case letter, a lower-case letter and a digit.",
        "entry 4 (line 5): roles: there is no 'king'; roles: there is no 'queen'",
        "entry 5 (line 6): email: Missing data for required field.",
    )
    assert users(runner) == []


OTHER_FORMS: list[tuple[object, str]] = [
    (["alice@example.com"], "account: Not an object."),
    ("alice@example.com", "account: Not an object."),
    (None, "account: Not an object."),
    (7, "account: Not an object."),
    ({}, "email: Missing data for required field."),
    ({"email": None}, "email: Missing data for required field."),
    ({"email": 7}, "email: Not a valid string."),
    ({"email": ["a@example.com"]}, "email: Not a valid string."),
    ({"email": "a@example.com", "password": 12345678}, "password: Not a valid string."),
    ({"email": "a@example.com", "roles": "admin"}, "roles: Not a valid list."),
    ({"email": "a@example.com", "roles": [1]}, "roles.0: Not a valid string."),
    ({"email": "a@example.com", "is_active": True}, "is_active: Unknown field."),
    ({"email": "b@example.com", "roles": ["NUL \x00"]}, "roles: there is no 'NUL \\x00'"),
    ({"email": "c@example.com", "roles": ["\ud800"]}, "roles: there is no '\\ud800'"),
    ({"email": "\ud800@example.com"}, NOT_AN_ADDRESS),
    ({"email": "a@example.com", "display_name": "\x00"}, "display_name: No control characters."),
]


def test_rows_of_another_form_are_refused(runner: FlaskCliRunner, seed_rows: Seed) -> None:
    result = seed_rows({"email": "good@example.com"}, *(row for row, _ in OTHER_FORMS))
    faults = [
        f"entry {number} (line {number + 1}): {fault}"
        for number, (_, fault) in enumerate(OTHER_FORMS, start=2)
    ]
    assert_refused(result, *faults)
    assert users(runner) == []


def test_repetitions_are_refused_by_canonical_form(seed_rows: Seed, context: None) -> None:
    result = seed_rows(
        {"email": "alice@example.com", "username": "alice"},
        {"email": "ALICE@example.com"},
        {"email": "bob@example.com", "username": "Alice"},
    )
    twice = {"email": "carol@example.com"}
    make_user("carol")
    assert_refused(
        seed_rows(twice, twice),
        "entry 2 (line 3): email: entry 1 (line 2) of the file has the same",
    )
    assert_refused(
        result,
        "entry 2 (line 3): email: entry 1 (line 2) of the file has the same",
        "entry 3 (line 4): username: entry 1 (line 2) of the file has the same",
    )


def test_a_row_of_an_existing_account_is_checked_like_a_new_one(
    runner: FlaskCliRunner, seed_rows: Seed, context: None
) -> None:
    make_user("alice")
    make_user("bob")
    taken = "entry 1 (line 2): username: another account uses it"
    assert_refused(seed_rows({"email": "new@example.com", "username": "Alice"}), taken)
    assert_refused(seed_rows({"email": "bob@example.com", "username": "alice"}), taken)
    king = seed_rows({"email": "bob@example.com", "roles": ["king"]})
    assert_refused(king, "entry 1 (line 2): roles: there is no 'king'")
    own = seed_rows({"email": "alice@example.com", "username": "alice"})
    assert own.stdout == "0 made, 1 there already.\n"
    assert len(users(runner)) == 2


@both_databases
def test_an_account_that_appears_meanwhile_leaves_nothing_half_written(
    runner: FlaskCliRunner, context: None
) -> None:
    """The file is valid; before it is written, another process takes one of its usernames."""
    rows = [
        row(1, email="first@example.com"),
        row(2, email="alice@elsewhere.example", username="alice"),
    ]
    taken = iter([lambda: make_user("alice"), lambda: None])
    with pytest.raises(EmailTakenError, match="Another account took this meanwhile"):
        seed_users(rows, on_progress=lambda: next(taken)())
    assert [user["email"] for user in users(runner)] == ["alice@example.com"]


def test_a_malformed_file_is_refused_and_writes_nothing(
    runner: FlaskCliRunner, seed_text: Seed
) -> None:
    result = seed_text('[\n{"email": "a@example.com"},\noops]')
    assert_refused(result, "line 3: no JSON from here on")
    assert users(runner) == []


def fault_of(folder: Path, text: str | bytes, *, name: str = "users.json") -> str:
    with pytest.raises(TransferFileError) as caught:
        read(folder, text, name=name)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("email\n", "line 1 is no JSON object, and 'authserve' needs JSON"),
        ("[", "line 1: the file ends too early"),
        ("[\n{},\n]", "line 3: no JSON from here on"),
        ("[\n{}]\n[]", "line 3: text follows after the list"),
        ('[\n{"email": "a", "email": "b"}]', "line 2: an object has the same key twice"),
        ("[" * 100_000, "line 1: nested too deeply"),
    ],
)
def test_malformed_json_is_reported_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    assert fault_of(tmp_path, text) == fault


def test_an_empty_json_file_is_refused(tmp_path: Path) -> None:
    for text in ("", " \n"):
        assert fault_of(tmp_path, text) == "the file is empty"


FIELDS = "email, username, password, display_name, roles"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "the file is empty"),
        ("username\nalice\n", "the header has no column for email; it has: username"),
        ("email,phone\na@example.com,1\n", f"no field is named 'phone'; the fields are {FIELDS}"),
        ("email,pasword\na@b.c,1\n", f"no field is named 'pasword'; the fields are {FIELDS}"),
        ("email,email\na@example.com,b@example.com\n", "the header has two columns for email"),
        ('email\n"a@example.com\n', "line 2 is not CSV: unexpected end of data"),
        ('"email', "line 1 is not CSV: unexpected end of data"),
        ('email\n"a"@example.com\n', "line 2 is not CSV: ',' expected after '\"'"),
    ],
)
def test_malformed_csv_is_reported_with_its_line(tmp_path: Path, text: str, fault: str) -> None:
    assert fault_of(tmp_path, text, name="users.csv") == fault


def test_a_row_of_too_many_values_refuses_the_file(seed_text: Seed) -> None:
    result = seed_text("email\nb@example.com\na@example.com,alice\n", name="users.csv")
    assert_refused(result, "line 3: more values than columns")


@pytest.mark.parametrize("text", ["Email\na@example.com\n", "email;username\na@example.com;\n"])
def test_a_header_is_read_as_by_an_import(tmp_path: Path, text: str) -> None:
    assert [row.values for row in read(tmp_path, text, name="a.csv")] == [
        {"email": "a@example.com"}
    ]


def test_a_row_of_a_csv_is_known_by_its_first_line(tmp_path: Path) -> None:
    rows = read(tmp_path, 'email,display_name\na,"two\nlines"\n\nb,\n', name="users.csv")
    assert [(row.line, row.values["email"]) for row in rows] == [(2, "a"), (5, "b")]


@pytest.mark.parametrize("name", ["users.json", "users.csv"])
@pytest.mark.parametrize("text", [b"\xff\xfe[\x00]\x00", "email\nzoé@x".encode("latin-1")])
def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path, name: str, text: bytes) -> None:
    assert fault_of(tmp_path, text, name=name) == "the file is not UTF-8"


@pytest.mark.parametrize("name", ["users.txt", "users", "users.json.bak"])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, name: str) -> None:
    fault = "the file's name must end in .json or .csv, after its content"
    assert fault_of(tmp_path, "[]", name=name) == fault


def test_a_file_that_is_not_there_is_refused(runner: FlaskCliRunner, tmp_path: Path) -> None:
    for path in (tmp_path / "none.json", tmp_path):
        result = runner.invoke(args=["users", "seed", str(path)])
        assert (result.exit_code, result.stdout) == (2, "")
        assert str(path) in result.stderr


def test_production_refuses_the_passwords_of_the_example(make_app: Callable[..., Flask]) -> None:
    production = make_app(app_env="production").test_cli_runner(capture="fd")
    result = production.invoke(args=["users", "seed", str(EXAMPLES / "users.json")])
    told = "password: The passwords of the example file are public; production does not take them."
    assert_refused(result, *(f"entry {n} (line {n + 1}): {told}" for n in range(1, 8)))
    assert users(production) == []

    args = ["users", "create", "alice@example.com", "--password-stdin"]
    created = production.invoke(args=args, input="demo only: alice winds the clock")
    assert created.stderr == f"Error: {told}\n"


def test_every_row_of_a_long_file_is_known_by_its_line(tmp_path: Path) -> None:
    text = json.dumps([{"email": f"u{n}@example.com"} for n in range(10_000)], indent=0)
    rows = read(tmp_path, text)
    assert (len(rows), rows[0].line, rows[-1].line) == (10_000, 2, 29_999)
