"""Second factors in exports and imports."""

import json
import stat
from base64 import b32encode
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine
from click.testing import Result
from flask import Flask
from flask.testing import FlaskCliRunner
from sqlalchemy import func, select

from authserve.core.base64url import encode_base64url
from authserve.core.clock import now
from authserve.core.crypto import KEYRING, Keyring
from authserve.database.transactions import read_all
from authserve.mfa.models import Passkey, RecoveryCode, TotpFactor
from authserve.users.lookup import get_user_by_reference
from tests.support.clients import Caller, login
from tests.support.factors import give_recovery_codes, give_totp, switch_mfa_on
from tests.support.marks import both_databases
from tests.support.passkeys import change_passkey, give_passkey, passkey_login
from tests.support.rows import audit_trail, forget_deleted_users
from tests.support.second_steps import first_step, second_step, sign_in_with_totp
from tests.support.totp import code_at

MakeApp = Callable[..., Flask]


def run(app: Flask, *args: object) -> Result:
    runner: FlaskCliRunner = app.test_cli_runner(capture="fd")
    return runner.invoke(args=["users", *(str(arg) for arg in args)])


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def count_rows(app: Flask) -> list[int]:
    """The numbers of TOTP secrets, passkeys and recovery codes."""
    with app.app_context():
        return [
            read_all(select(func.count()).select_from(model))[0][0]
            for model in (TotpFactor, Passkey, RecoveryCode)
        ]


# A whole move


@both_databases
def test_an_account_moves_with_its_factors(
    clock: time_machine.Traveller, make_app: MakeApp, alice: Caller, app: Flask, tmp_path: Path
) -> None:
    """To a service of another `SECRET_KEY`, and no spent code or step works again there."""
    secret, key = give_totp(app, alice.id), give_passkey(app, alice.id, name="Phone")
    codes = give_recovery_codes(app, alice.id, count=2)
    client = app.test_client()
    assert sign_in_with_totp(client, "alice", secret).status_code == 200
    spent = second_step(client, first_step(client, "alice"), recovery_code=codes[0])
    assert spent.status_code == 200
    file = tmp_path / "users.ndjson"

    assert run(app, "export", file, "--with-secrets").exit_code == 0

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (event,) = audit_trail(app, "users.exported")
    assert (event["actor_audit_id"], event["outcome"]) == (None, "success")
    assert run(app, "delete", "alice", "--yes").exit_code == 0
    forget_deleted_users(app)
    assert count_rows(app) == [0, 0, 0]
    other = make_app(
        secret_key="the secret of another service, 0123456789", username_hold=timedelta(0)
    )
    # The signing key of the first service does not open under the other secret.
    rotate = ["keys", "rotate", "--emergency"]
    assert other.test_cli_runner(capture="fd").invoke(args=rotate).exit_code == 0
    dry = run(other, "import", file, "--dry-run")
    assert dry.stdout == "1 would be made, 0 there already, 0 refused.\n"
    assert count_rows(other) == [0, 0, 0]
    assert run(other, "import", file).stdout == "1 made, 0 there already, 0 refused.\n"
    assert count_rows(other) == [1, 1, 2]
    client = other.test_client()
    token = first_step(client, "alice")
    for proof, answer in (
        ({"totp_code": code_at(secret, now())}, "code_reused"),
        ({"recovery_code": codes[0]}, "invalid_code"),
    ):
        assert second_step(client, token, **proof).get_json()["code"] == answer
    assert second_step(client, token, recovery_code=codes[1]).status_code == 200
    clock.shift(30)
    assert sign_in_with_totp(client, "alice", secret).status_code == 200
    assert passkey_login(client, key).status_code == 200
    again = tmp_path / "again.ndjson"
    run(other, "export", again, "--with-secrets")
    exported, moved = read(file)[0]["mfa"], read(again)[0]["mfa"]
    assert moved["totp"]["secret"] == exported["totp"]["secret"]
    assert [row["name"] for row in moved["passkeys"]] == ["Phone"]
    assert moved["enabled"] is exported["enabled"] is True


def test_an_export_without_the_option_has_no_factor(
    app: Flask, alice: Caller, tmp_path: Path
) -> None:
    secret = give_totp(app, alice.id)
    file = tmp_path / "users.ndjson"
    run(app, "export", file)
    assert "mfa" not in read(file)[0]
    assert b32encode(secret).decode() not in file.read_text()
    assert audit_trail(app, "users.exported") == []


def test_accounts_without_factors_have_an_empty_member(
    app: Flask, alice: Caller, bob: Caller, tmp_path: Path
) -> None:
    switch_mfa_on(app, bob.id)
    run(app, "export", tmp_path / "users.ndjson", "--with-secrets")
    empty = {"totp": None, "passkeys": [], "recovery_codes": []}
    members = {row["username"]: row["mfa"] for row in read(tmp_path / "users.ndjson")}
    assert members == {
        "alice": {"enabled": False, **empty},
        "bob": {"enabled": True, **empty},
    }


def test_a_secret_that_does_not_open_leaves_no_file(
    app: Flask, alice: Caller, tmp_path: Path
) -> None:
    """Else the move would lose a factor without a word."""
    give_totp(app, alice.id)
    KEYRING.fill(app, Keyring(["another secret, 0123456789 0123456789"]))
    file = tmp_path / "users.ndjson"
    assert run(app, "export", file, "--with-secrets").exit_code == 1
    assert not file.exists()


# Rows of other systems

TOTP = {"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "created_at": "2026-01-01T00:00:00Z"}
SECRET = b"12345678901234567890"

PASSKEY = {
    "credential_id": "AAECAwQFBgcICQoLDA0ODw",
    # An Ed25519 key (RFC 9053 §7.2).
    "public_key": encode_base64url(bytes.fromhex("a4010103272006215820") + bytes(32)),
    "algorithm": -7,
    "rp_id": "localhost",
    "sign_count": 0,
    "backup_eligible": True,
    "backed_up": True,
    "aaguid": "adce0002-35bc-c60a-648b-0b25f1f05503",
    "name": "Phone",
    "created_at": "2026-01-01T00:00:00Z",
}

CODE = {"digest": "A" * 43, "created_at": "2026-01-01T00:00:00Z"}


def row(name: str = "alice", **mfa: Any) -> dict[str, Any]:
    return {"email": f"{name}@example.com", "mfa": mfa}


def test_the_secret_of_another_system_makes_the_same_codes(app: Flask, tmp_path: Path) -> None:
    file = write(tmp_path / "in.ndjson", row(enabled=True, totp=TOTP))
    assert run(app, "import", file).exit_code == 0
    shown = run(app, "export", "-", "--with-secrets").stdout
    assert json.loads(shown.splitlines()[-1])["mfa"]["totp"]["secret"] == TOTP["secret"]
    with app.app_context():
        assert get_user_by_reference("alice@example.com").mfa_enabled


BAD: dict[str, dict[str, Any]] = {
    "mfa.totp.algorithm": {"totp": {**TOTP, "algorithm": "SHA256"}},
    "mfa.totp.digits": {"totp": {**TOTP, "digits": 8}},
    "mfa.totp.period": {"totp": {**TOTP, "period": 60}},
    "mfa.totp.secret": {"totp": {**TOTP, "secret": "GEZDGNBV"}},
    "mfa.totp.last_step": {"totp": {**TOTP, "last_step": -1}},
    "mfa.totp.created_at": {"totp": {"secret": TOTP["secret"]}},
    "mfa.totp.counter": {"totp": {**TOTP, "counter": 1}},
    "mfa.enabled": {"enabled": "yes"},
    "mfa.passkeys": {"passkeys": [PASSKEY] * 11},
    "mfa.passkeys.0.credential_id": {"passkeys": [{**PASSKEY, "credential_id": ""}]},
    "mfa.passkeys.0.sign_count": {"passkeys": [{**PASSKEY, "sign_count": 2**32}]},
    "mfa.passkeys.0.rp_id": {"passkeys": [{**PASSKEY, "rp_id": "x" * 254}]},
    "mfa.passkeys.0.public_key": {"passkeys": [{**PASSKEY, "public_key": "oQ"}]},
    "mfa.recovery_codes.0.digest": {"recovery_codes": [{**CODE, "digest": "AAAA"}]},
    "mfa.recovery_codes": {"recovery_codes": "x"},
}


def test_a_row_with_a_factor_that_cannot_work_is_refused(
    app: Flask, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    for field, mfa in BAD.items():
        with subtests.test(field):
            file = write(tmp_path / "in.ndjson", row(**mfa))
            for options in (["--dry-run"], []):
                result = run(app, "import", file, *options)
                assert result.exit_code == 1
                assert result.stderr.startswith(f"line 1: {field}: "), result.stderr
                assert TOTP["secret"] not in result.stderr
    assert count_rows(app) == [0, 0, 0]


def test_secrets_in_another_spelling_are_accepted(app: Flask, tmp_path: Path) -> None:
    lower = {**TOTP, "secret": f"{b32encode(SECRET[:16]).decode().lower()}"}
    explicit = {**TOTP, "algorithm": "SHA1", "digits": 6, "period": 30}
    file = write(tmp_path / "in.ndjson", row("a", totp=lower), row("b", totp=explicit))
    assert run(app, "import", file).stdout.startswith("2 made")


def test_passkeys_of_another_rp_id_are_told(app: Flask, tmp_path: Path) -> None:
    other = {**PASSKEY, "credential_id": "AQ", "rp_id": "old.example"}
    file = write(tmp_path / "in.ndjson", row(passkeys=[PASSKEY, other]))
    note = "mfa: 1 passkeys are for old.example, so they do not work with this PASSKEY_RP_ID"
    for options in (["--dry-run"], []):
        result = run(app, "import", file, *options)
        assert (result.exit_code, result.stderr) == (0, f"line 1: {note}\n")
    assert count_rows(app) == [0, 2, 0]
    results = tmp_path / "results.ndjson"
    again = write(tmp_path / "more.ndjson", row("b", passkeys=[{**other, "credential_id": "Ag"}]))
    run(app, "import", again, "--results", results)
    assert read(results)[0]["notes"] == [note]


def test_an_account_that_a_passkey_opens_is_activated(app: Flask, tmp_path: Path) -> None:
    """It could otherwise be invited, and an invitation sets a password."""
    foreign = {**PASSKEY, "credential_id": "AQ", "rp_id": "old.example"}
    file = write(tmp_path / "in.ndjson", row("a", passkeys=[PASSKEY]), row("b", passkeys=[foreign]))
    assert run(app, "import", file).stdout.startswith("2 made")
    refused = run(app, "invite", "a@example.com")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert run(app, "invite", "b@example.com").stdout == "b@example.com is invited again.\n"


@both_databases
def test_a_passkey_has_one_owner(
    app: Flask, alice: Caller, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    key = give_passkey(app, alice.id)
    run(app, "export", tmp_path / "out.ndjson", "--with-secrets")
    (theirs,) = read(tmp_path / "out.ndjson")[0]["mfa"]["passkeys"]
    change_passkey(app, key, rp_id="old.example")
    for rows, told in (
        ([row("b", passkeys=[theirs])], "another account has one of them"),
        ([row("b", passkeys=[PASSKEY, PASSKEY])], "the same one twice"),
        (
            [row("b", passkeys=[PASSKEY]), row("c", passkeys=[PASSKEY])],
            "line 1 of the file has the same",
        ),
    ):
        file = write(tmp_path / "in.ndjson", *rows)
        for options in (["--dry-run"], []):
            result = run(app, "import", file, *options)
            with subtests.test(told):
                assert result.exit_code == 1
                assert f"mfa.passkeys: {told}" in result.stderr


def test_an_existing_account_keeps_its_factors(app: Flask, alice: Caller, tmp_path: Path) -> None:
    """A file must not add a way into an account that its owner uses."""
    change = {**row(enabled=True, totp=TOTP), "display_name": "Alice"}
    file = write(tmp_path / "in.ndjson", change)
    result = run(app, "import", file, "--update")
    assert result.stdout.startswith("0 made, 1 updated")
    assert "imported without mfa: an existing account keeps its own factors" in result.stderr
    assert count_rows(app) == [0, 0, 0]
    assert login(app.test_client(), "alice").status_code == 200


def test_a_column_of_csv_is_no_factor(app: Flask, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("email,mfa\nalice@example.com,true\n")
    result = run(app, "import", file, "--format", "csv")
    assert (result.exit_code, "Ignored columns: mfa" in result.stderr) == (0, True)
