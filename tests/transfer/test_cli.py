"""Moving people in and out by the command line."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner

from authserve.core.actor import VISITOR, RequestInfo
from authserve.transfer.service import importing
from authserve.users.service import delete_user, get_user_by_reference, page_of_users, ref_of
from tests.support.clients import Caller, login
from tests.transfer.test_policy import VECTORS

PASSWORD = VECTORS["password"]
BCRYPT = VECTORS["hashes"]["bcrypt"]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(runner: FlaskCliRunner, *args: object) -> Result:
    return runner.invoke(args=["users", *(str(arg) for arg in args)])


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


def test_it_exports_what_it_imports(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, alice: Caller, admin: Caller
) -> None:
    file = tmp_path / "out.ndjson"
    assert run(runner, "export", file).exit_code == 0
    assert file.stat().st_mode & 0o777 == 0o600
    exported = [json.loads(line) for line in file.read_text().splitlines()]
    assert run(runner, "export", file).exit_code == 1

    with app.app_context():
        user = ref_of(get_user_by_reference("alice"))
        delete_user(user, actor=VISITOR, request=RequestInfo())
    result = run(runner, "import", file)

    assert result.stdout == "1 made, 1 there already, 0 refused.\n"
    again = run(runner, "export", "-")
    assert [json.loads(line) for line in again.stdout.splitlines()] == exported
    assert login(app.test_client(), "alice").status_code == 200


def test_it_tells_every_collision_and_writes_nothing_in_a_dry_run(
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
        "line 1 of the file has the same address or name",
        "email: Not a valid email address.",
        "password_hash: not in a format that is taken",
        "is_admin: Unknown field.",
        "roles: there is no 'king'",
        "id: another account has it",
        "_schema: Invalid input type.",
    ]
    with app.app_context():
        assert [user.username for user in page_of_users(limit=10)] == ["alice"]


def test_it_goes_on_where_it_was_cut_off(
    app: Flask, runner: FlaskCliRunner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "SLICE", 10)
    rows: list[Any] = [{"email": f"user{n}@example.com"} for n in range(35)]
    file = write(tmp_path / "in.ndjson", rows)
    cut_off = write(tmp_path / "cut.ndjson", rows[:17])

    assert run(runner, "import", cut_off).exit_code == 0
    result = run(runner, "import", file)

    assert result.stdout == "18 made, 17 there already, 0 refused.\n"


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
    assert result.stderr == "line 4: is_active: Not true or false.\n"


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        ("a,b\n1,2\n", ("--format", "csv"), "has no column email"),
        ("a,b\n1,2\n", ("--format", "csv", "--map", "a=mail"), "'mail' is no field"),
        ('mail\n"x\n', ("--format", "csv", "--map", "mail=email"), "is not CSV"),
        ("x" * 70_000, (), "line 1 is too long"),
    ],
)
def test_it_says_what_to_do_with_a_file_it_cannot_read(
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


@pytest.mark.parametrize("command", ["import", "export"])
def test_help_has_examples(runner: FlaskCliRunner, command: str) -> None:
    assert f"flask users {command}" in run(runner, command, "--help").stdout
