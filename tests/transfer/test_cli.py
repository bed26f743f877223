"""Import and export of accounts by the command line."""

import json
import stat
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import update

from authserve.audit.seal import seal_events
from authserve.audit.verify import verify_trail
from authserve.core.actor import VISITOR, RequestInfo
from authserve.database.transactions import transaction
from authserve.rbac.assignment import roles_of
from authserve.transfer import import_users
from authserve.transfer.files import MAX_LINE_LENGTH
from authserve.transfer.import_users import SLICE
from authserve.users.accounts import delete_user, ref_of
from authserve.users.lists import page_of_users
from authserve.users.lookup import get_user_by_reference
from authserve.users.models import User
from tests.passwords.test_foreign_hashes import VECTORS
from tests.support.clients import Caller, login, register_caller
from tests.support.marks import both_databases
from tests.support.people import make_user
from tests.support.rows import audit_trail, forget_deleted_users

PASSWORD = VECTORS["password"]
BCRYPT = VECTORS["hashes"]["bcrypt"]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(runner: FlaskCliRunner, *args: object) -> Result:
    return runner.invoke(args=["users", *(str(arg) for arg in args)])


@both_databases
def test_it_imports_and_lets_people_sign_in(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    file = write(
        tmp_path / "in.ndjson",
        [
            {"email": "Ann@Example.com", "username": "ann", "password_hash": BCRYPT},
            {"email": "ben@example.com", "is_active": False, "roles": ["admin"]},
        ],
    )

    result = run(runner, "import", file)

    assert (result.exit_code, result.stdout) == (0, "2 made, 0 there already, 0 refused.\n")
    with app.app_context():
        assert get_user_by_reference("ann").password_hash == BCRYPT
    assert login(app.test_client(), "ann", PASSWORD).status_code == 200
    with app.app_context():
        stored = get_user_by_reference("ann").password_hash
    assert stored is not None
    assert stored.startswith("$argon2id$")


@both_databases
def test_it_exports_what_it_imports(make_app: Callable[..., Flask], tmp_path: Path) -> None:
    # Names of deleted accounts would be held.
    app = make_app(username_hold=timedelta(0))
    runner = app.test_cli_runner(capture="fd")
    register_caller(app, "alice").patch("/api/v1/users/me", json={"locale": "de"})
    register_caller(app, "admin", roles=("admin",))
    file = tmp_path / "out.ndjson"
    assert run(runner, "export", file).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    exported = [json.loads(line) for line in file.read_text().splitlines()]
    assert [row["locale"] for row in exported] == ["de", None]
    assert run(runner, "export", file).exit_code == 1

    with app.app_context():
        user = ref_of(get_user_by_reference("alice"))
        delete_user(user, actor=VISITOR, request=RequestInfo())
    forget_deleted_users(app)
    result = run(runner, "import", file)

    assert result.stdout == "1 made, 1 there already, 0 refused.\n"
    again = run(runner, "export", "-")
    assert [json.loads(line) for line in again.stdout.splitlines()] == exported
    assert login(app.test_client(), "alice").status_code == 200


@both_databases
def test_the_id_of_a_deleted_account_is_not_used_again(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    """Its events would be another person's, and the trail would look tampered with."""
    with app.app_context():
        user = make_user("ann", password=None)
    file = tmp_path / "out.ndjson"
    assert run(runner, "export", file).exit_code == 0
    row = json.loads(file.read_text())
    with app.app_context():
        delete_user(user, actor=VISITOR, request=RequestInfo())

    refused = run(runner, "import", file, "--without-bad-usernames")

    assert "id: a deleted account had it" in refused.stderr
    del row["id"]
    anew = run(runner, "import", write(file, [row]), "--without-bad-usernames")
    assert anew.stdout.startswith("1 made")
    with app.app_context():
        assert get_user_by_reference("ann@example.com").id != user.id
        list(seal_events())
        verify_trail()


@both_databases
def test_it_reports_every_collision_and_writes_nothing_in_a_dry_run(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, alice: Caller
) -> None:
    file = write(
        tmp_path / "in.ndjson",
        [
            {"email": "new@example.com"},
            {"email": "alice@example.com"},
            {"email": "other@example.com", "username": "ALICE"},
            {"email": "NEW@example.com"},
            {"email": "no address"},
            {"email": "x@example.com", "password_hash": "plain"},
            {"email": "y@example.com", "is_admin": True},
            {"email": "z@example.com", "roles": ["king"]},
            {"email": "v@example.com", "id": str(alice.id)},
            ["not", "an", "object"],
        ],
    )
    results = tmp_path / "results.ndjson"

    result = run(runner, "import", file, "--dry-run", "--results", results)

    assert result.exit_code == 1
    assert result.stdout == "1 would be made, 1 there already, 8 refused.\n"
    told = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line["line"] for line in told] == list(range(1, 11))
    assert [line["reason"] for line in told] == [
        None,
        None,
        "username: another account uses it",
        "email: line 1 of the file has the same",
        "email: Not a valid email address.",
        "password_hash: not in a supported format",
        "is_admin: Unknown field.",
        "roles: there is no 'king'",
        "id: another account has it",
        "_schema: Invalid input type.",
    ]
    with app.app_context():
        assert [user.username for user in page_of_users(limit=10)] == ["alice"]


@both_databases
def test_it_continues_where_it_was_cut_off(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_users, "SLICE", 10)
    rows: list[Any] = [{"email": f"user{n}@example.com"} for n in range(35)]
    file = write(tmp_path / "in.ndjson", rows)
    cut_off = write(tmp_path / "cut.ndjson", rows[:17])

    assert run(runner, "import", cut_off).exit_code == 0
    result = run(runner, "import", file)

    assert result.stdout == "18 made, 17 there already, 0 refused.\n"


@both_databases
def test_it_reads_django(app: Flask, runner: FlaskCliRunner, tmp_path: Path) -> None:
    fields = {
        "username": "ann",
        "first_name": "Ann",
        "last_name": "Onymous",
        "email": "ann@example.com",
        "password": VECTORS["hashes"]["django pbkdf2"],
        "is_active": True,
        "is_superuser": True,
        "date_joined": "2020-01-02T03:04:05Z",
        "last_login": None,
    }
    by_address = {"username": "ben@example.com", "email": "", "password": "!", "is_active": False}
    rows = [{"model": "auth.user", "pk": n, "fields": f} for n, f in ((1, fields), (2, by_address))]
    file = write(tmp_path / "users.jsonl", rows)

    result = run(runner, "import", file, "--format", "django")

    assert result.exit_code == 0, result.stderr
    with app.app_context():
        ann = get_user_by_reference("ann")
        ben = get_user_by_reference("ben@example.com")
    assert (ann.display_name, ann.created_at.year) == ("Ann Onymous", 2020)
    assert (ben.username, ben.is_active, ben.password_hash) == (None, False, None)
    assert login(app.test_client(), "ann", PASSWORD).status_code == 200


def test_it_reads_csv_by_a_map(app: Flask, runner: FlaskCliRunner, tmp_path: Path) -> None:
    file = tmp_path / "users.csv"
    file.write_text(
        "mail,login,hash,on,extra\n"
        f"ann@example.com,ann,{BCRYPT},yes,1\n"
        "ben@example.com,,,no,2\n"
        "eve@example.com,,,maybe,3\n"
    )
    maps = ("mail=email", "login=username", "hash=password_hash", "on=is_active")

    arguments = [part for entry in maps for part in ("--map", entry)]
    result = run(runner, "import", file, "--format", "csv", *arguments)

    assert result.stdout == "2 made, 0 there already, 1 refused.\n"
    assert result.stderr.splitlines() == [
        "Ignored columns: extra. Use them with --map COLUMN=FIELD.",
        "line 4: is_active: Not true or false.",
    ]


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a,b\n1,2\n", ("--format", "csv"), "has no column for email"),
        ("a,b\n1,2\n", ("--format", "csv", "--map", "a=mail"), "'mail' is not a field"),
        ('mail\n"x\n', ("--format", "csv", "--map", "mail=email"), "is not CSV"),
        ("x" * 70_000, (), "line 1 is no JSON object"),
        ("email\na@example.com\n", (), "needs JSON. For a table, use --format csv. 0 made"),
        ("mail\na@example.com\n", ("--format", "csv"), "it has: mail. Name the columns with --map"),
        ('{"a": "' + "x" * 70_000, (), "line 1 is too long"),
    ],
)
def test_it_names_the_remedy_for_a_file_it_cannot_read(
    runner: FlaskCliRunner, tmp_path: Path, text: str, arguments: tuple[str, ...], message: str
) -> None:
    file = tmp_path / "file"
    file.write_text(text)
    result = run(runner, "import", file, *arguments)
    assert result.exit_code != 0
    assert message in result.stderr
    assert "Traceback" not in result.stderr


def test_a_line_that_is_no_json_does_not_stop_the_others(
    runner: FlaskCliRunner, tmp_path: Path
) -> None:
    file = tmp_path / "file.ndjson"
    file.write_bytes(b'{"email": "a@example.com"}\n{nope\n\n\xff\xfe\n{"email": "\\u0000"}\n')
    result = run(runner, "import", file)
    assert result.stdout == "1 made, 0 there already, 3 refused.\n"
    assert result.stderr.splitlines()[0] == "line 2: not a JSON object of this format"


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_results_map_the_sources_keys_to_new_ids(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, alice: Caller
) -> None:
    uuid = "0190a1b2-0000-7000-8000-000000000001"
    file = tmp_path / "users.csv"
    file.write_text(
        f"id,email\n7,ann@example.com\n{uuid},ben@example.com\n9,alice@example.com\n8,nothing\n"
    )
    results = tmp_path / "results.ndjson"

    result = run(runner, "import", file, "--format", "csv", "--results", results)

    assert result.exit_code == 1
    found = {line["source_id"]: (line["result"], line["id"]) for line in told(results)}
    with app.app_context():
        ann = str(get_user_by_reference("ann@example.com").id)
    assert found == {
        "7": ("created", ann),
        uuid: ("created", uuid),
        "9": ("exists", str(alice.id)),
        "8": ("refused", None),
    }


INCOMPLETE = [
    {"email": "ann@example.com", "password_hash": "plain"},
    {"email": "ben@example.com", "username": "Not of our form"},
    {"email": "cat@example.com", "username": "alice"},
    {"email": "dan@example.com", "username": "dan"},
    {"email": "eve@example.com", "username": "DAN", "password_hash": "$2b$04$x"},
]


@pytest.mark.parametrize("dry_run", [True, False])
def test_accounts_come_without_what_cannot_be_taken_over(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, alice: Caller, dry_run: bool
) -> None:
    file = write(tmp_path / "in.ndjson", INCOMPLETE)
    flags = ["--without-passwords", "--without-bad-usernames", *(["--dry-run"] if dry_run else [])]

    result = run(runner, "import", file, *flags)

    assert result.exit_code == 0
    verb = "would be made" if dry_run else "made"
    assert result.stdout == f"5 {verb}, 0 there already, 0 refused; 4 without a field.\n"
    damaged = "password_hash: damaged, or not in a supported format"
    ours = "3 to 32 letters, digits, dots, hyphens or underscores, with a letter or digit at"
    assert result.stderr.splitlines() == [
        "line 1: imported without password_hash: not in a supported format",
        f"line 2: imported without username: {ours} both ends.",
        "line 3: imported without username: another account uses it",
        f"line 5: imported without {damaged}; username: line 4 of the file has the same",
    ]
    with app.app_context():
        assert len(page_of_users(limit=10)) == (1 if dry_run else 6)


def test_without_these_flags_the_same_rows_are_refused(
    runner: FlaskCliRunner, tmp_path: Path, alice: Caller
) -> None:
    file = write(tmp_path / "in.ndjson", INCOMPLETE)
    assert run(runner, "import", file).stdout == "1 made, 0 there already, 4 refused.\n"


def test_a_dry_run_reports_what_the_import_does(
    app: Flask,
    runner: FlaskCliRunner,
    tmp_path: Path,
    alice: Caller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(import_users, "SLICE", 2)
    rows: list[Any] = [
        {"email": "refused@example.com", "roles": ["king"]},
        {"email": "refused@example.com", "username": "ann"},
        {"email": "a@example.com", "username": "ann"},
        {"email": "alice@example.com", "display_name": "Alice"},
        {"email": "alice@example.com", "display_name": "Alice", "last_login_at": "2020-01-01"},
        {"email": "b@example.com", "id": "0190a1b2-0000-7000-8000-000000000001"},
        {"email": "c@example.com", "id": "0190a1b2-0000-7000-8000-000000000001"},
        {"email": "B@example.com"},
    ]
    file = write(tmp_path / "in.ndjson", rows)
    dry, wet = tmp_path / "dry", tmp_path / "wet"

    run(runner, "import", file, "--update", "--dry-run", "--results", dry)
    run(runner, "import", file, "--update", "--results", wet)

    assert [{**line, "id": None} for line in told(dry)] == [
        {**line, "id": None} for line in told(wet)
    ]
    assert [line["result"] for line in told(wet)] == [
        "refused",
        "created",
        "refused",
        "updated",
        "refused",
        "created",
        "refused",
        "refused",
    ]


def test_results_overwrite_no_file_and_are_private(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    """A results file with the name of the file to import would empty that before it is read."""
    file = write(tmp_path / "in.ndjson", [{"email": "ann@example.com"}])
    before = file.read_text()
    refused = run(runner, "import", file, "--results", file)
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert refused.stderr == f"Error: {file} cannot be made: exists already.\n"
    assert file.read_text() == before
    with app.app_context():
        assert page_of_users(limit=1) == []
    results = tmp_path / "results.ndjson"
    assert run(runner, "import", file, "--results", results).exit_code == 0
    assert stat.S_IMODE(results.stat().st_mode) == 0o600


def test_results_of_a_failed_import_stay(runner: FlaskCliRunner, tmp_path: Path) -> None:
    """The accounts before the fault are there, and only this file names their new ids."""
    file, results = tmp_path / "in.ndjson", tmp_path / "results.ndjson"
    rows = [json.dumps({"email": f"user{number}@example.com"}) for number in range(SLICE)]
    file.write_text("\n".join([*rows, "x" * MAX_LINE_LENGTH]))
    assert run(runner, "import", file, "--results", results).exit_code == 1
    assert len(results.read_text().splitlines()) == SLICE


@both_databases
def test_a_second_run_fills_what_the_first_left_empty(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, alice: Caller
) -> None:
    first = write(tmp_path / "first.ndjson", [{"email": "ann@example.com"}])
    row = {
        "email": "ann@example.com",
        "username": "ann",
        "display_name": "Ann",
        "password_hash": BCRYPT,
        "email_verified": True,
        "last_login_at": "2020-01-02 03:04:05+00",
        "roles": ["admin"],
    }
    second = write(tmp_path / "second.ndjson", [row, {**row, "email": "alice@example.com"}])
    results = tmp_path / "results.ndjson"
    run(runner, "import", first)

    result = run(runner, "import", second, "--update", "--results", results)

    assert result.stdout == "0 made, 2 updated, 0 there already, 0 refused.\n"
    ann, of_alice = told(results)
    everything = ["username", "display_name", "password_hash", "last_login_at"]
    assert ann["filled"] == [*everything, "email_verified", "roles"]
    assert "password_hash" not in of_alice["filled"]
    assert "email_verified" not in of_alice["filled"]
    assert login(app.test_client(), "ann", PASSWORD).status_code == 200
    assert login(app.test_client(), "alice").status_code == 200
    again = run(runner, "import", second, "--update")
    assert again.stdout == "0 made, 0 updated, 2 there already, 0 refused.\n"


@both_databases
def test_each_account_that_gets_a_role_is_in_the_audit_trail(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path
) -> None:
    first = [{"email": "ann@example.com"}, {"email": "root@example.com", "roles": ["admin"]}]
    second = [{**row, "roles": ["admin", "user"]} for row in first]
    run(runner, "import", write(tmp_path / "first.ndjson", first))
    for _ in range(2):
        run(runner, "import", write(tmp_path / "second.ndjson", second), "--update")
    with app.app_context():
        ids = {user.email: user.id for user in page_of_users(limit=2)}
    assert [
        (event["subject_audit_id"], event["details"])
        for event in audit_trail(app, "user.roles_changed")
    ] == [
        (ids[f"{name}@example.com"], {"granted": ["admin"], "revoked": []})
        for name in ("root", "ann")
    ]


@both_databases
def test_a_strangers_account_gets_no_roles(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, alice: Caller, bob: Caller
) -> None:
    """A visitor may have registered with the address of an administrator of the other system."""
    with app.app_context(), transaction() as session:
        session.execute(update(User).where(User.id == bob.id).values(email_verified=True))
    rows = [
        {"email": f"{name}@example.com", "password_hash": BCRYPT, "roles": ["admin"]}
        for name in ("alice", "bob")
    ]
    file, results = write(tmp_path / "in.ndjson", rows), tmp_path / "results.ndjson"

    result = run(runner, "import", file, "--update", "--results", results)

    assert result.stdout == "0 made, 1 updated, 1 there already, 0 refused.\n"
    of_alice, of_bob = told(results)
    assert (of_alice["result"], of_alice["filled"]) == ("exists", [])
    assert [note.partition(":")[0] for note in of_alice["notes"]] == ["roles"]
    assert (of_bob["result"], of_bob["filled"], of_bob["notes"]) == ("updated", ["roles"], [])
    with app.app_context():
        assert (roles_of(alice.id), roles_of(bob.id)) == (("user",), ("admin", "user"))
    hint = run(runner, "import", file, "--update").stderr
    assert "line 1: roles: withheld, as a stranger may have opened the account" in hint


def test_it_reads_standard_input(runner: FlaskCliRunner) -> None:
    result = runner.invoke(
        args=["users", "import", "-", "--json"], input='\ufeff[{"email": "a@example.com"}]'
    )
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["created"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--map", "a=email"), "needs --format csv"),
        (("--delimiter", "ab"), "one character"),
        (("--encoding", "nonsense"), "not an encoding"),
        (("--firebase-config", __file__), "no hash parameters"),
    ],
)
def test_bad_options_are_named(
    runner: FlaskCliRunner, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    file = write(tmp_path / "in.ndjson", [])
    result = run(runner, "import", file, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("given", "meant"), [(":", ":"), ("tab", "\t"), ("\\t", "\t"), ("\t", "\t")]
)
def test_a_delimiter_is_one_character_or_the_word_tab(
    runner: FlaskCliRunner, tmp_path: Path, given: str, meant: str
) -> None:
    file = tmp_path / "in.csv"
    file.write_text(f"email{meant}username\nann@example.com{meant}ann\n")
    result = run(runner, "import", file, "--format", "csv", "--delimiter", given)
    assert result.stdout == "1 made, 0 there already, 0 refused.\n", result.stderr


def test_a_folder_takes_no_export(runner: FlaskCliRunner, tmp_path: Path) -> None:
    result = run(runner, "export", tmp_path)
    assert (result.exit_code, "is a directory" in result.stderr) == (2, True)


def test_flask_security_people_sign_in(make_app: Any, tmp_path: Path) -> None:
    vectors = VECTORS["flask_security"]
    app = make_app(flask_security_salt=vectors["salt"])
    file = tmp_path / "user.csv"
    file.write_text(
        "id,email,username,password,active,confirmed_at,create_datetime\n"
        f"1,ann@example.com,ann,{vectors['hashes']['pbkdf2_sha512']},t,2020-01-02 03:04:05,\n"
    )
    result = run(app.test_cli_runner(), "import", file, "--format", "flask-security")
    assert result.exit_code == 0, result.stderr
    assert login(app.test_client(), "ann", vectors["password"]).status_code == 200


@pytest.mark.parametrize("command", ["import", "export"])
def test_help_has_examples(runner: FlaskCliRunner, command: str) -> None:
    assert f"flask users {command}" in run(runner, command, "--help").stdout
